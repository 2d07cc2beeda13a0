"""What a model is called, the same in lists, in the chat and in the terminal."""

from __future__ import annotations

from pathlib import Path

from app import paths
from app.library.gguf_reader import printable
from app.library.split import split_name

MAX_NAME = 120


def model_name(path: Path, name_in_header: str) -> str:
    """The name of its file, without a part's number: headers often say no more than "Model" or a folder's name.

    The starter model is called what its header says.
    """
    if path == paths.STARTER_MODEL and name_in_header:
        return name_in_header
    return printable((split_name(path.name) or (path.stem,))[0], MAX_NAME)
