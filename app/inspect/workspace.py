"""Where the files lie that a suggestion of types makes on the way. No engine here: the window removes them too."""

from __future__ import annotations

import hashlib
from pathlib import Path

from app.inspect.messages import SuggestTypes
from app.system.paths import Paths


def workspace(request: SuggestTypes, paths: Paths) -> Path:
    """A folder that follows from the request; it is there only while the suggestion is worked on."""
    digest = hashlib.sha256(f"{request.model.resolve()} {request.type}".encode()).hexdigest()[:16]
    return paths.home / "cache" / "inside" / digest
