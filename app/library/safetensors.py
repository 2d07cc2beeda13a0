"""Hugging Face folders on this machine: recognised by their files' names, nothing of them is read."""

from __future__ import annotations

from pathlib import Path

NOTE = "The original, in Hugging Face's format. Make a smaller model of it to chat with."
"""For the user."""


def is_model(config: Path) -> bool:
    """Whether this config.json is that of a folder with safetensors."""
    return config.name == "config.json" and bool(weight_files(config.parent))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Its safetensors, the parts in order."""
    try:
        return tuple(sorted(path for path in folder.glob("*.safetensors") if path.is_file()))
    except OSError:
        return ()
