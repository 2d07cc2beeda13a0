"""The headers of remote GGUF models, read without downloading them, as sparse stubs.

A stub is the header followed by a hole up to the full size. It takes no more disk than the header, and llama.cpp can
plan every buffer from it.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from app.errors import HubError, OfflineError, StorageError
from app.hub.repository import RemoteFile, RemoteModel, Repository
from app.hub.transport import Call, Hub, Transport, check_status
from app.library.gguf_file import GgufHeader, read_header
from app.library.gguf_reader import HEAD_BYTES, MAGIC, not_gguf_error, read_raw
from app.system.files import own_name
from app.units import size_text

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
    part = own_name(path)
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


# The beginning of a remote file as a file: bytes are fetched by range requests when they are read, and no others.


FIRST_BYTES = 1 << 19
STEP_BYTES = 1 << 20
MAX_BYTES = 64_000_000
"""The most bytes of one header. The largest vocabularies with their merges take 20 MB."""
_ATTEMPTS = 3


class RemoteBeginning:
    """Keeps what it fetches in `copy`, a local file, from its start on. Not thread-safe."""

    def __init__(self, transport: Transport, url: str, size_bytes: int, copy: BinaryIO, *, exact: bool = False) -> None:
        """`exact` fetches what is read and no more: for who knows how long the header is."""
        self._exact = exact
        self._transport = transport
        self._url = url
        self._size_bytes = size_bytes
        self._copy = copy
        self._position = 0
        self.fetched_bytes = 0
        """How much of the beginning is in the copy."""
        self.traffic_bytes = 0

    def seek(self, position: int) -> int:
        """Go to a place counted from the start, like a file's."""
        self._position = position
        return position

    def read(self, size: int) -> bytes:
        """Like a file's: less than `size` only at the end. Raises HubError, OfflineError, Cancelled."""
        wanted = min(self._position + size, self._size_bytes)
        while self.fetched_bytes < wanted:
            step = 0 if self._exact else STEP_BYTES if self.fetched_bytes else FIRST_BYTES
            self._fetch(min(max(wanted, self.fetched_bytes + step), self._size_bytes))
        self._copy.seek(self._position)
        data = self._copy.read(size)
        self._position += len(data)
        return data

    def _fetch(self, end: int) -> None:
        if max(end, self.traffic_bytes) > MAX_BYTES:
            raise HubError(
                f"The header of the file is longer than {size_text(MAX_BYTES)}: that cannot be right.",
                "Whether the model fits cannot be told. Look for the same model from another author.",
            )
        for attempt in range(_ATTEMPTS):
            try:
                self._fetch_once(end)
            except OfflineError:
                if attempt == _ATTEMPTS - 1:
                    raise
            if self.fetched_bytes >= end:
                return
        raise OfflineError(f"{self._transport.hub.host} broke off in the middle of the file.", "Try again later.")

    def _fetch_once(self, end: int) -> None:
        start = self.fetched_bytes
        headers = {"Range": f"bytes={start}-{end - 1}"}
        with self._transport.stream("GET", self._url, headers=headers) as response:
            check_status(response, self._transport.hub)
            self._url = str(response.url)  # the second origin's, for the next piece
            skip = 0 if response.status_code == 206 else start
            self._check_size(response.headers.get("content-range", ""))
            for chunk in response.iter_bytes(STEP_BYTES // 4):
                self._transport.call.check()
                self.traffic_bytes += len(chunk)
                skipped = min(skip, len(chunk))
                skip -= skipped
                self._keep(chunk[skipped : skipped + end - self.fetched_bytes])
                if self.fetched_bytes >= end or self.traffic_bytes > MAX_BYTES:
                    return

    def _keep(self, data: bytes) -> None:
        self._copy.seek(self.fetched_bytes)
        self._copy.write(data)
        self.fetched_bytes += len(data)

    def _check_size(self, content_range: str) -> None:
        total = content_range.rpartition("/")[2]
        if total.isdigit() and int(total) != self._size_bytes:
            raise HubError(
                f"The file has {int(total):,} bytes, and not {self._size_bytes:,} as the hub's list says.",
                "It may have been replaced just now. Open the model again.",
            )
