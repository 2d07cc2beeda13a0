"""What a draft made of a model is called, and from when on it pays. No engine here: the window asks too."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from app.drafts.messages import MakeDraft


def workspace(request: MakeDraft) -> Path:
    """The work folder of this request alone: a window removes it when the user cancels."""
    asked = repr(dataclasses.replace(request, threads=0))
    return request.output.with_name(f".{request.output.name}.{hashlib.sha256(asked.encode()).hexdigest()[:12]}")


def default_draft(source: Path, type: str) -> Path:
    """Inside the source's folder: "name-draft-Q8_0.gguf"."""
    return source / f"{source.resolve().name}-draft-{type}.gguf"
