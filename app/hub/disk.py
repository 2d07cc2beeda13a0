"""Whether there is room on the disk before a download begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.hub.messages import DownloadPlan
from app.hub.part import SUFFIX
from app.hub.repository import RemoteFile
from app.system.disk import require_room


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


def _part_bytes(target: Path) -> int:
    try:
        return target.with_name(target.name + SUFFIX).stat().st_size
    except OSError:
        return 0
