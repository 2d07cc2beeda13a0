"""Whether there is room on the disk before a download begins."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from app.errors import DiskFullError
from app.hub.part import SUFFIX
from app.hub.repository import RemoteFile
from app.requests import DownloadPlan
from app.units import size_text

SPARE_BYTES = 200_000_000
"""Left free beside all that is planned: chats and settings must still be written."""


def needed_bytes(plan: DownloadPlan, missing: Sequence[RemoteFile]) -> int:
    """What the disk must still take: what has not arrived, and the room that a conversion will need."""
    arrived = sum(min(_part_bytes(plan.folder / file.path), file.size_bytes) for file in missing)
    return sum(file.size_bytes for file in missing) - arrived + plan.reserve_bytes


def check_room(plan: DownloadPlan, missing: Sequence[RemoteFile]) -> None:
    """Raises DiskFullError where there is not enough."""
    if not missing:
        return
    way = ", with the room to convert it" if plan.reserve_bytes else ""
    hint = "Free some space, or move Bantam's folder to a larger disk. What has arrived is kept."
    require_room(f"{plan.title} needs", needed_bytes(plan, missing), plan.folder, hint, way)


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


def _part_bytes(target: Path) -> int:
    try:
        return target.with_name(target.name + SUFFIX).stat().st_size
    except OSError:
        return 0
