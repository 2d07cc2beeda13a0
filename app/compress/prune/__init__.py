"""Pruning a Hugging Face folder, a transformer block at a time."""
