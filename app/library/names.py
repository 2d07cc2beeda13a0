"""What a model is called, the same in lists, in the chat and in the terminal."""

from __future__ import annotations

from pathlib import Path

from app import paths
from app.library.gguf_reader import printable
from app.library.split import split_name

MAX_NAME = 120


def model_name(path: Path, name_in_header: str) -> str:
    """The name of its file, without a part's number: headers often say no more than "Model" or a folder's name.

    The starter model is called what its header says, and so is a file that is named by its hash, as Ollama's are.
    """
    if name_in_header and (path == paths.STARTER_MODEL or path.name.startswith("sha256-")):
        return name_in_header
    return printable((split_name(path.name) or (path.stem,))[0], MAX_NAME)
