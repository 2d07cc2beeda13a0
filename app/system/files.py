"""Small files: written so that a crash leaves the old content or the new, read so that damage is one kind of error."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


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
