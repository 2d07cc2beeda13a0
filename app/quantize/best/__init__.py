"""Best rounding: AWQ folding, then GPTQ on the scales of llama.cpp, in an ordinary GGUF file."""
