"""Which Bantam last used the data folder. A folder of a newer one is used as far as it is understood, and nothing of
it is lost: before this version writes, the small files are copied aside. The chats keep a format of their own.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import __version__
from app.errors import StorageError
from app.system.files import read_json, write_atomic
from app.system.paths import Paths

FORMAT = 1
"""The format of the small files. Raised when one of them means something else than before; a new field alone does
not.
"""


@dataclass(frozen=True, slots=True)
class FolderMark:
    """`folder.json`: what the folder is, by whoever used it last."""

    format: int = FORMAT
    version: str = ""
    """Bantam's; "" in a folder from before there was a mark."""


def adopt(paths: Paths) -> str:
    """Make the folder this version's, before anything in it is written. Returns the sentence for the user, mostly "".

    Raises StorageError where a newer version's files could not be copied aside: then nothing has been changed.
    """
    mark = read_mark(paths.folder_mark)
    if mark.format > FORMAT:
        kept = _keep(paths, mark.format)
        _write_mark(paths.folder_mark)
        newer = f"Bantam {mark.version}" if mark.version else "a newer Bantam"
        return (
            f"This data folder was last used by {newer}. What this version ({__version__}) does not understand of its"
            f" settings and measurements is kept in {kept}."
        )
    if mark != FolderMark(FORMAT, __version__):
        _write_mark(paths.folder_mark)
    return ""


def read_mark(path: Path) -> FolderMark:
    """The mark; that of the first format where there is none, or none that can be read."""
    try:
        data: Any = read_json(path)
        return FolderMark(int(data["format"]), str(data["version"])[:40])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return FolderMark()


def _keep(paths: Paths, format: int) -> Path:
    folder = paths.home / f"kept-format-{format}"
    measured = (paths.machine, paths.speed, paths.effort, paths.drafts, paths.ledger)
    files = (paths.settings, *measured, paths.window_state, paths.folder_mark)
    try:
        folder.mkdir(exist_ok=True)
        for file in files:
            if file.exists():
                shutil.copy2(file, folder / file.name)
    except OSError as error:
        raise StorageError(
            f"This data folder was last used by a newer Bantam, and its settings could not be copied aside:"
            f" {error.strerror or error}.",
            "Free some space on its disk, or start the newer version. Nothing was changed.",
        ) from error
    return folder


def _write_mark(path: Path) -> None:
    try:
        write_atomic(path, json.dumps({"format": FORMAT, "version": __version__}).encode())
    except OSError as error:
        raise StorageError(f"Bantam cannot write to its data folder: {error.strerror or error}.") from error
