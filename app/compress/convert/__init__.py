"""Hugging Face folder to GGUF, without torch or transformers: `conversion.convert` is the way in."""
