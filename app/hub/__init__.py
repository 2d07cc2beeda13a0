"""The Hugging Face Hub: search, look into files without downloading them, download. No Qt, no engine.

A download is a process: pausing ends it, its part stays, and nothing of it is in the window's memory. Parts may be
killed at any moment: they are written unbuffered, and hashed again from the disk when another process goes on with
them. Search and metadata go through `transport.py` and not through huggingface_hub, because a call must have a
timeout, be cut off when another is made, and keep the token from the second origin. `remote.py` and `original.py`
read headers by range requests into sparse stubs (header, then a hole up to the full size), so that size and memory
are exact before anything is downloaded.
"""
