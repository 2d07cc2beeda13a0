"""The engine: llama.cpp through its C interface. `llama.py` is the only importer of llama_cpp."""
