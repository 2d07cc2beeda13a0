"""Pruning a Hugging Face folder, one transformer block at a time.

Only the child process and the terminal import more than the messages.

`prune.py` is the operation and `method.py` defines what a method is; each method has a file of its own. transformers
builds the model without weights. One pass in which every block only passes its input on shows what the first block is
given and the arguments (masks, rotary embeddings) with which each block is called, so that no code here depends on the
model's family. `.name.work/` beside the output holds the finished shards and the activations that flow into the next
block; `state.json` is the commit, so that a kill costs one block at most.

`refit.py` regularises towards the original weights, not towards zero: where the text is short, what it says nothing
about does not change. The neurons to remove are chosen with the refit in mind: one that the others can stand in for
costs little. On request gate and up are fitted too, in turn with down, by a few steps of conjugate gradients; every
eighth window is kept apart, and a change that brings those windows no nearer is undone. `other_architecture.py` says
which architecture has room for the result: layers of unequal width are lists in config.json, and `deci` in llama.cpp.
"""
