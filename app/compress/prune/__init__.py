"""Pruning of Hugging Face folders, a block at a time."""
