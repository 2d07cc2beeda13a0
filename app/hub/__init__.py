"""The Hugging Face Hub: search, look into files without downloading them, download. No Qt, no engine."""
