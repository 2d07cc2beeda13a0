"""The engine: llama.cpp through its C interface. `llama.py` is the only importer of llama_cpp.

`session.py` is one loaded model. From a conversation to text: `template.py` (the model's Jinja template, in a
sandbox), `prompt.py` (token ids, what is left out, what the KV cache already holds), `generation.py` (plain decoding
and the sampler), `kv_cache.py` (the cache with the ids it stands for, and its copy on disk). `threads.py` chooses
thread counts.

**Stopping** works in three places: while loading (the progress callback returns false), while reading the prompt
(llama.cpp's abort callback, which is libc's `strlen` over a C string, so that no node of the graph waits for the
interpreter: `StopFlag`), while answering (a flag between tokens). Whoever does not stop in 2 s is killed.

**A death in the first decode** (some processors' fastest kernels crash) is recognised by `loading_marker.py`: the
model is loaded once more without those kernels, `machine_record.py` remembers it, and the user is told in one line.

**Prefix reuse.** The ids that were generated are the prefix of the next prompt: the text of the cached ids is
compared with the new prompt, and only what follows is tokenised and read. Where they part, the cut goes back to the
last control token.

**Memory.** `memory.py` asks llama.cpp for the exact need from a header alone (`no_alloc`). The vocabulary's memory is
counted by the C library (`mallinfo2`) while the header is loaded; elsewhere it is estimated from its length. Weights
are read without a memory map when llama.cpp repacks them (a map beside the copy would hold everything twice), and
with one in safe mode. At most 32 rows of logits are reserved instead of 512: 250 MB less for a vocabulary of 128,000.

**Drafts.** `speculative.py` is a second generator of the same type: the last token and a draft of what follows it go
in one batch, the model's sampler draws at each position, and a guess counts where it is what was drawn. So the draft
decides on nothing but the speed: a seed gives the same text, and what was rejected leaves both KV caches before a
token is said. `drafting.py` chooses the source (`draft_model.py`, `prompt_lookup.py`) and the length that promise the
most tokens a second, from `batch_costs.py` (the cost of a batch is not smooth, because kernels work in groups of
rows) and `acceptance.py`, and stops a source which loses. A guess that was not verified still teaches, because the
next token shows whether it was right. Rounding: a batch is summed in another order than a single token, so that two
tokens of nearly the same probability may change places; `draft_trial.py` tells this from a fault by the margin
between them.
"""
