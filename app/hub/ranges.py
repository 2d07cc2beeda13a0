"""The beginning of a remote file as a file: bytes are fetched by range requests when they are read, and no others."""

from __future__ import annotations

from typing import BinaryIO

from app.errors import HubError, OfflineError
from app.hub.transport import Transport, check_status
from app.units import size_text

FIRST_BYTES = 1 << 19
STEP_BYTES = 1 << 20
MAX_BYTES = 64_000_000
"""Of one header. The largest vocabularies with their merges take 20 MB."""
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
        """From the start, like a file's."""
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
