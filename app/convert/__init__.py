"""Writing a Hugging Face folder as a GGUF file: tensors, vocabulary, configuration."""
