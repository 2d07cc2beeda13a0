"""Making a model smaller: Hugging Face folder to GGUF, quantizing, calibrating. Runs in the child."""
