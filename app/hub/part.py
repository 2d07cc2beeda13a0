"""A file that is not whole yet: `name.part` with what has arrived, and `name.part.json` with what it shall become.

Nothing is ever written under the final name: a part gets it by renaming, once its hash is right.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from app.errors import DiskFullError, StorageError
from app.system.files import is_taken, read_json, write_atomic

SUFFIX = ".part"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Expected:
    """What the hub says the file is: `etag` is its sha256 where `is_sha256`, else the sha1 of its git blob."""

    etag: str
    size_bytes: int
    is_sha256: bool


class Digests:
    """sha256 of a file, and where the hub names a git blob its sha1 too."""

    def __init__(self, expected: Expected) -> None:
        self._sha256 = hashlib.sha256()
        self._git = None if expected.is_sha256 else hashlib.sha1(b"blob %d\0" % expected.size_bytes)
        self._expected = expected

    def update(self, data: bytes) -> None:
        """The next bytes of the file."""
        self._sha256.update(data)
        if self._git is not None:
            self._git.update(data)

    @property
    def sha256(self) -> str:
        """The sha256 of all that was given."""
        return self._sha256.hexdigest()

    @property
    def is_right(self) -> bool:
        """Whether it is what the hub named. An etag that is no hash cannot be compared, and the size must do."""
        named = self._expected.etag
        if self._expected.is_sha256:
            return named == self.sha256
        return len(named) != 40 or self._git is None or named == self._git.hexdigest()


class Part:
    """The part of one file. A context manager: holds a lock on it, so that no second download writes into it."""

    def __init__(self, target: Path, about: dict[str, Any]) -> None:
        """`about` goes into the sidecar: the plan, by which an orphan can be downloaded on."""
        self.target = target
        self.path = target.with_name(target.name + SUFFIX)
        self.sidecar = target.with_name(target.name + SUFFIX + ".json")
        self._about = about
        self._file: FileIO | None = None

    def __enter__(self) -> Part:
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: its size is what has arrived, and a killed process loses nothing.
            self._file = self.path.open("ab+", buffering=0)
        except OSError as error:
            raise storage_error(error, self.target) from error
        if not _lock(self._file):
            self._file.close()
            raise StorageError(f"“{self.target.name}” is being downloaded already.", "Wait for it, or cancel it there.")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()

    @property
    def file(self) -> FileIO:
        """Open for reading and appending."""
        assert self._file is not None, "use it as a context manager"
        return self._file

    @property
    def size_bytes(self) -> int:
        """What has arrived so far."""
        return os.fstat(self.file.fileno()).st_size

    def expected(self) -> Expected | None:
        """What the sidecar says; None where there is none that can be read."""
        try:
            data = read_json(self.sidecar)
            return Expected(str(data["etag"]), int(data["size_bytes"]), bool(data["is_sha256"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def expect(self, expected: Expected) -> None:
        """Write the sidecar. Raises StorageError."""
        data = {"etag": expected.etag, "size_bytes": expected.size_bytes, "is_sha256": expected.is_sha256}
        try:
            write_atomic(self.sidecar, json.dumps(data | {"plan": self._about}).encode())
        except OSError as error:
            raise storage_error(error, self.target) from error

    def remove(self) -> None:
        """Remove what has arrived, and the sidecar."""
        _unlink(self.target)

    def cut(self, size_bytes: int = 0) -> None:
        """Keep only so much of it."""
        self.file.truncate(size_bytes)

    def append(self, data: bytes) -> None:
        """Raises DiskFullError, StorageError; what was there before stays."""
        try:
            written = 0
            while written < len(data):
                written += self.file.write(data[written:]) or 0
        except OSError as error:
            raise storage_error(error, self.target) from error

    def digest(self, digests: Digests, on_chunk: Callable[[int], None]) -> None:
        """Feed all that is there. Raises StorageError."""
        try:
            self.file.seek(0)
            while chunk := self.file.read(CHUNK_BYTES):
                digests.update(chunk)
                on_chunk(len(chunk))
        except OSError as error:
            raise storage_error(error, self.target) from error

    def finish(self) -> None:
        """Sync and give it its final name; the sidecar goes. Raises StorageError, also where the name is taken."""
        try:
            os.fsync(self.file.fileno())
            if self.target.exists():
                raise name_taken(self.target)
            if sys.platform == "win32":
                self.file.close()  # an open file cannot be renamed there
            self.path.rename(self.target)
            _sync_folder(self.target.parent)
            self.sidecar.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, self.target) from error


def _unlink(target: Path) -> None:
    for suffix in (SUFFIX, SUFFIX + ".json"):
        with contextlib.suppress(OSError):
            target.with_name(target.name + suffix).unlink()


def remove_part(target: Path) -> None:
    """Remove what has arrived of `target`, and its sidecar; not where another program is at work on it."""
    if is_taken(target.with_name(target.name + SUFFIX)):
        return
    _unlink(target)


def name_taken(target: Path) -> StorageError:
    """The error where a file that is not the wanted one has its name."""
    return StorageError(
        f"Another file has the name “{target.name}” already, in {target.parent}.",
        "Rename or delete it, then download again. Nothing was overwritten.",
    )


def storage_error(error: OSError, target: Path) -> StorageError:
    """The sentence for a disk that would not."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            f"The disk is full: “{target.name}” could not be written to the end.",
            "Free some space, then go on with the download. What has arrived is kept.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(f"The folder {target.parent} may not be written to.", "Make it writable, then try again.")
    return StorageError(
        f"“{target.name}” could not be written: {error.strerror or error}.",
        "See that the disk is still connected, then try again.",
    )


def _lock(file: FileIO) -> bool:
    """Whether the file is ours alone now. The system gives the lock back when the process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # a network drive without locks
    return True


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
