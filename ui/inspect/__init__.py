"""The window that shows a model's tensors."""
