"""What is asked when a model is checked, and what that found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.operation import Request


@dataclass(frozen=True, slots=True)
class VerifyModel(Request):
    """Read all bytes of a model (of a split one all parts) and compare them with its manifest."""

    path: Path


class FileCheck(StrEnum):
    """What comparing a file with its manifest showed."""

    SOUND = "sound"
    DAMAGED = "damaged"
    """Its bytes are others than those that were downloaded."""
    UNKNOWN = "unknown"
    """Nobody has said what its bytes should be; its header is sound."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of checking a model. `sentence` says it for the user; `sha256` is of the first file."""

    path: Path
    check: FileCheck
    sentence: str
    sha256: str = ""
