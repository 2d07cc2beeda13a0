"""Small files: written so that a crash leaves the old content or the new, read so that damage is one kind of error."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from app.errors import DiskFullError
from app.units import size_text


def read_json(path: Path) -> Any:
    """The parsed content. Raises OSError, and ValueError for whatever is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_object(path: Path) -> dict[str, Any]:
    """The object that is in the file; empty where it is missing, damaged or something else."""
    try:
        stored = read_json(path)
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` by way of `*.part`, synced and renamed. Raises OSError; the part is removed then."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


# Room on a disk, and the sentence where it is lacking.


SPARE_BYTES = 200_000_000
"""Left free beside all that is planned: chats and settings must still be written."""


def require_room(what: str, needed: int, folder: Path, hint: str, way: str = "") -> None:
    """Raises DiskFullError where `needed` bytes do not fit in the folder. `what` begins the sentence: "It takes"."""
    if sentence := lack_of_room(what, needed, free_bytes(folder), way):
        raise DiskFullError(sentence, hint)


def lack_of_room(what: str, needed: int, free: int | None, way: str = "") -> str:
    """Why so many bytes do not fit, a sentence; "" where they do, or where that cannot be told."""
    if free is None or needed + SPARE_BYTES <= free:
        return ""
    return (
        f"{what} {size_text(needed)} on the disk{way}, and {size_text(SPARE_BYTES)} must stay free there; "
        f"{size_text(free)} are free now."
    )


def free_bytes(folder: Path) -> int | None:
    """Free space where this folder is or will be; None where that cannot be told."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None
