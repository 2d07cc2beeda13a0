"""The headers of remote GGUF models, read without downloading them, as sparse stubs.

A stub is the header followed by a hole up to the full size. It takes no more disk than the header, and llama.cpp can
plan every buffer from it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from app.errors import StorageError
from app.hub.endpoint import Hub
from app.hub.ranges import RemoteBeginning
from app.hub.repository import RemoteFile, RemoteModel, Repository
from app.hub.transport import Call, Transport
from app.library.gguf_file import GgufHeader, read_header
from app.library.gguf_reader import MAGIC, read_raw
from app.library.not_gguf import HEAD_BYTES, not_gguf_error

MAX_STUBS = 24
"""Kept on disk, a header of some MB each; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Stub:
    """`path` is the file, of a split model its first part. `traffic_bytes` is 0 where the header was here already."""

    path: Path
    header: GgufHeader
    traffic_bytes: int


def fetch_stub(hub: Hub, repository: Repository, model: RemoteModel, folder: Path, call: Call | None = None) -> Stub:
    """The stub of a GGUF model, below `folder` (`Paths.headers`), fetched if it is not there yet.

    Raises ModelFileError for a header that cannot be used, HubError, OfflineError, GatedError, StorageError, Cancelled.
    """
    place = folder / repository.id / repository.revision
    traffic = 0
    try:
        with Transport(hub, call) as transport:
            for file in model.files:
                traffic += _fetch_one(transport, repository, file, place / file.path)
    except OSError as error:
        raise StorageError(f"The header could not be kept: {error.strerror or error}.") from error
    path = place / model.files[0].path
    header = read_header(path)
    if traffic:
        drop_oldest(folder, place)
    return Stub(path, header, traffic)


def _fetch_one(transport: Transport, repository: Repository, file: RemoteFile, path: Path) -> int:
    """Fetch one header if its stub is not there; returns the bytes that came over the network."""
    if path.is_file() and path.stat().st_size == file.size_bytes:
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of this call's own: one that was cut off may still be on its way out.
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    url = transport.hub.file_url(repository.id, repository.revision, file.path)
    try:
        with part.open("w+b") as copy:
            beginning = RemoteBeginning(transport, url, file.size_bytes, copy)
            _walk(beginning, file)
            copy.truncate(file.size_bytes)
        part.replace(path)
        return beginning.traffic_bytes
    finally:
        part.unlink(missing_ok=True)


def _walk(beginning: RemoteBeginning, file: RemoteFile) -> None:
    """Read to the end of the header, so that all of it is in the copy. Raises ModelFileError."""
    source = cast(BinaryIO, beginning)
    head = source.read(HEAD_BYTES)
    if not head.startswith(MAGIC):
        raise not_gguf_error(head, file.name)
    read_raw(source, file.size_bytes, lambda key: key == "general.alignment")


def drop_oldest(folder: Path, newest: Path) -> None:
    """Keep the newest revisions below `folder`, and `newest` in any case."""
    kept = sorted(folder.glob("*/*/*"), key=lambda place: place.stat().st_mtime, reverse=True)
    for place in kept[MAX_STUBS:]:
        if place != newest:
            with contextlib.suppress(OSError):
                shutil.rmtree(place)
