"""Pruning a Hugging Face folder, a transformer block at a time.

Only the child and the terminal import more than the messages.

`prune.py` is the operation, `method.py` what a method is; each has a file of its own. transformers builds the model
without weights. One pass in which every block hands on what it is given shows the inputs of the first block and the
arguments (masks, rotary embeddings) with which each is called, so that nothing knows one family from another.
`.name.work/` beside the output holds the finished shards and what flows into the next block; `state.json` is the
commit, so that a kill costs one block.

`refit.py` draws towards the weights as they were, not towards zero: with few tokens nothing is changed that the text
says nothing about. Which neurons go is decided with the refit in mind: one that the others can stand in for costs
little. On request gate and up are fitted too, in turn with down, by a few steps of conjugate gradients; every eighth
window is kept apart, and a change that does not bring those nearer is taken back. `other_architecture.py` says which
architecture has room for the result: layers of unequal width are lists in config.json, and `deci` in llama.cpp.
"""
