"""What differs when Bantam is a bundle, that is a program of its own, and not Python with sources: where its parts lie.

In a bundle the child is the program itself. PyTorch is a package of its own there, because only pruning and recovery
need it; it is installed beside the program as a folder of ordinary Python packages.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from app.errors import AppError

TORCH_FOLDER = "torch-packages"
"""The folder beside the program: the packages that pruning and recovery need."""

TORCH_STAMP = "made-for.txt"
"""A file in that folder: the version of the program that it was made with."""

_LIBRARY_PATH = "LD_LIBRARY_PATH"
_LOADERS = "_PYI_"
"""What the names of the loader's own variables begin with (PyInstaller 6, bootloader/src/pyi_main.c)."""


def is_frozen() -> bool:
    """Whether this is a bundle."""
    return bool(getattr(sys, "frozen", False))


def program_folder() -> Path:
    """The folder of the bundle's executable."""
    return Path(sys.executable).resolve().parent


def program(*options: str) -> list[str]:
    """The command that starts Bantam again, without a window of its own; `options` are Python's, outside a bundle."""
    if not is_frozen():
        return [sys.executable, *options, "-m", "app"]
    if sys.platform == "win32":  # the window's program has no console, and no standard streams in a terminal
        return [str(program_folder() / "bantam-console.exe")]
    return [sys.executable]


def prepare() -> None:
    """Prepare a bundle's start: give other programs their libraries back, and find the PyTorch package.

    The bundle's loader points LD_LIBRARY_PATH at the bundle's own libraries. It has been read by now, and a browser
    or a file manager that is opened from here must not load them. A child of our own must: without the loader's other
    variables it sets that one again.
    """
    if not is_frozen():
        return
    for name in [name for name in os.environ if name.startswith(_LOADERS)]:
        del os.environ[name]
    original = os.environ.pop(f"{_LIBRARY_PATH}_ORIG", None)
    if original is None:
        os.environ.pop(_LIBRARY_PATH, None)
    else:
        os.environ[_LIBRARY_PATH] = original
    folder = torch_folder()
    if folder.is_dir():
        sys.path.append(str(folder))


def torch_folder() -> Path:
    """Where the PyTorch package is expected."""
    return program_folder() / TORCH_FOLDER


def require_torch() -> None:
    """Raise AppError, with the way to get it, where PyTorch is not installed or belongs to another version."""
    if is_frozen() and torch_folder().is_dir() and _stamp() != _version():
        raise AppError(
            f"The package bantam-torch is of another version ({_stamp() or 'unknown'}) than Bantam ({_version()}).",
            "Install the one that belongs to this version.",
        )
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        raise AppError("Pruning and recovery need PyTorch, which is not installed.", _torch_hint())


def _torch_hint() -> str:
    if not is_frozen():
        return "Run the set-up again."
    return (
        "It is a package of its own, because it is larger than Bantam: install bantam-torch "
        f"{_version()} from where you have Bantam, or unpack its archive in {program_folder()}."
    )


def _stamp() -> str:
    try:
        return (torch_folder() / TORCH_STAMP).read_text("utf-8").strip()
    except OSError:
        return ""


def _version() -> str:
    from app import __version__

    return __version__
