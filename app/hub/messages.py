"""What is asked of a download, and what it says on the way and at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from app.hub.repository import RemoteFile
from app.operation import Event, Request


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What is downloaded from where to where. Written to disk until it is done: it holds no secret."""

    endpoint: str
    repository: str
    revision: str
    """The commit, 40 hexadecimal digits."""
    title: str
    """The title for people: "Qwen3-8B, Q4_K_M"."""
    files: tuple[RemoteFile, ...]
    folder: Path
    """models/<owner>/<name>; the files keep their paths below it."""
    reserve_bytes: int = 0
    """What must stay free on the disk beside the files: for a conversion that follows."""


@dataclass(frozen=True, slots=True)
class Download(Request):
    """Download, or go on downloading, what is not there yet of the plan. `token` is for the endpoint alone."""

    plan: DownloadPlan
    token: str = field(default="", repr=False)


class DownloadPhase(StrEnum):
    """What a download is doing."""

    CONNECTING = "connecting"
    DOWNLOADING = "downloading"
    WAITING = "waiting"
    """Waiting for the network or the hub: it goes on by itself."""
    CHECKING = "checking"
    """Computing the sha256 of what was there from an earlier attempt."""


@dataclass(frozen=True, slots=True)
class DownloadProgress(Event):
    """The progress of all files of the download together. Speed and time left are 0 while they are not known."""

    phase: DownloadPhase
    done_bytes: int
    total_bytes: int
    bytes_per_second: float = 0.0
    seconds_left: float = 0.0
    sentence: str = ""
    """Why it waits: "The connection was lost. Trying again in 8 s."; "" otherwise."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """All files are there under their final names, checked, and named in the folder's manifest."""

    repository: str
    revision: str
    files: tuple[Path, ...]
