"""Pruning a Hugging Face folder, a transformer block at a time. Only the child and the terminal import more
than the messages.
"""
