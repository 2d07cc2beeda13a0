"""Quantizing to GGUF with importance matrices, and what each type would make, before it is made."""
