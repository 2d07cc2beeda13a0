"""Best rounding: an ordinary Q4_0 or Q4_K_M file that any llama.cpp reads, of the same size and speed, but nearer.

`inputs.py` collects what flows into the matrices, through the engine. `best_quantize.py` moves outliers out of the
inputs into the weights (AWQ) by powers of two, so that 16-bit weights stay exact. llama.cpp quantizes the folded file
with the importance matrix. Then `rounding.py` chooses the codes again, column by column, each for what the ones
before it got wrong (GPTQ, in the form of LDLQ: one Cholesky factorisation, no inverse), on llama.cpp's own scales,
which it reads and never changes. All of it works on GGUF files and numpy, so an architecture needs nothing of its
own. A few layers are rounded at a time, as many as their Gram matrices leave memory for, with inputs collected from
the file as it has become: every step leaves a whole file, from which an interrupted job goes on.
"""
