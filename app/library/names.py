"""What a model is called, the same in lists, in the chat and in the terminal."""

from __future__ import annotations

import re
from pathlib import Path

from app.library.gguf_file import split_name
from app.library.gguf_reader import printable
from app.system import paths

MAX_NAME = 120

_SIZE_OR_TYPE = re.compile(r"(?i)[-_. ](?:\d+(?:\.\d+)?[bm]\b|a\d+b|i?q\d|bf16|f16|f32|gguf|instruct|chat|it\b|base)")


def model_name(path: Path, name_in_header: str) -> str:
    """The name of its file, without a part's number: headers often say no more than "Model" or a folder's name.

    The starter model is called what its header says, and so is a file that is named by its hash, as Ollama's are.
    """
    if name_in_header and (path == paths.STARTER_MODEL or path.name.startswith("sha256-")):
        return name_in_header
    return printable((split_name(path.name) or (path.stem,))[0], MAX_NAME)


def family_name(name: str) -> str:
    """The name up to the first part that says a size, a type or a purpose: "Qwen2.5" of "Qwen2.5-7B-Instruct-Q4_K_M".

    A way to search for the other sizes of a model; the whole name where nothing of that kind is in it.
    """
    found = _SIZE_OR_TYPE.search(name)
    return name[: found.start()] if found and found.start() else name
