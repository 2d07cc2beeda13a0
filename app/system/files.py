"""Small files: written so that a crash leaves the old content or the new, read so that damage is one kind of error."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from app.errors import DiskFullError, StorageError
from app.units import size_text

PART = ".part"
_PART_NUMBERS = itertools.count(1)
_BINARY = getattr(os, "O_BINARY", 0)  # Windows alone tells text from bytes


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one writer at a time, of all threads and programs, read `path`, change it and write it. Raises OSError.

    The folder that `path` is in is what is locked, so that nothing is left behind; on Windows, which locks no folders,
    an empty file of the same meaning in the temporary folder.
    """
    descriptor = _open_lock(path)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)  # and with it the lock goes


def update_json(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], *, indent: int | None = None) -> None:
    """Replace the object in `path` by what `change` makes of it; nobody else writes it meanwhile.

    A missing or damaged file is an empty object to `change`. Raises OSError.
    """
    with locked(path):
        write_atomic(path, json.dumps(change(read_object(path)), ensure_ascii=False, indent=indent).encode())


if sys.platform == "win32":
    import hashlib
    import msvcrt

    def _open_lock(path: Path) -> int:
        name = hashlib.sha256(str(path.parent.resolve()).encode()).hexdigest()[:16]
        return os.open(Path(tempfile.gettempdir(), f"bantam-{name}.lock"), os.O_RDWR | os.O_CREAT)

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def _is_free(descriptor: int, *, alone: bool = True) -> bool:
        return True  # a file that is held could not be renamed at the end; one that is being written cannot be removed

else:
    import fcntl

    def _open_lock(path: Path) -> int:
        return os.open(path.parent, os.O_RDONLY)

    def _lock(descriptor: int) -> None:
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _is_free(descriptor: int, *, alone: bool = True) -> bool:
        """Whether no other process holds the file; from now on this one does, until the descriptor is closed.

        Not `alone`: it only looks, as many others may at the same time.
        """
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network file systems know no locks
            return True
        return True


def read_json(path: Path) -> Any:
    """The parsed content. Raises OSError, and ValueError for whatever is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_object(path: Path) -> dict[str, Any]:
    """The object that is in the file; empty where it is missing, damaged or something else."""
    try:
        stored = read_json(path)
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` by way of a part, synced and renamed. Raises OSError; the part is removed then.

    The part's name is this writer's own, so that two programs that write at once leave one of the two files, whole.
    What is written is the user's alone to read (mode 0600).
    """
    part = own_name(path.with_name(f".{path.name}"))
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


# Files that are long in the making: whose they are, and what a dead process left.


@contextlib.contextmanager
def taken(path: Path) -> Iterator[None]:
    """Hold `path` as this process's own while it is made under the name of its part.

    The system ends that with the process, however it ends. Raises StorageError where another program makes it, OSError.
    """
    part = path.with_name(path.name + PART)
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _is_free(descriptor):
            raise StorageError(f"“{path.name}” is being made already.", "Wait for it, or cancel it there.")
        yield
    finally:
        os.close(descriptor)


def is_taken(part: Path) -> bool:
    """Whether a process is at work on this part, or on the file that the part is a step to ("m.gguf.source.part")."""
    stem = part.name.removesuffix(PART)
    names = [stem[:end] for end in range(len(stem), 0, -1) if end == len(stem) or stem[end] == "."]
    return any(is_held(part.with_name(name + PART)) for name in names)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Let others see that this process reads `path` and needs it (`is_held`). Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _is_free(descriptor)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a process has the file as its own."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    try:
        return not _is_free(descriptor, alone=False)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A temporary folder that goes again; its name says whose it is, for `remove_left_over` after a kill."""
    with tempfile.TemporaryDirectory(prefix=f"bantam-{os.getpid()}-") as name:
        yield Path(name)


def own_name(path: Path, end: str = PART) -> Path:
    """A name beside `path` for a file of this process's own, which `remove_left_over` knows."""
    return path.with_name(f"{path.name}.{os.getpid()}-{next(_PART_NUMBERS)}{end}")


def remove_left_over(*folders: Path, copies: Path) -> None:
    """Remove what processes that are gone left in these folders and in the temporary one, and of `copies` each file
    that no process holds.
    """
    with contextlib.suppress(OSError):
        for path in copies.iterdir():
            if not is_held(path) and not is_taken(path):
                _remove(path)
    temporary = Path(tempfile.gettempdir())
    for folder, pattern in (*((folder, _OWN_FILE) for folder in folders), (temporary, _OWN_FOLDER)):
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                if (match := pattern.fullmatch(path.name)) and not psutil.pid_exists(int(match[1])):
                    _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


_OWN_FILE = re.compile(r".+\.(\d+)-\d+\.part")
_OWN_FOLDER = re.compile(r"bantam-(\d+)-\w+")


# Room on a disk, and the sentence where it is lacking.


SPARE_BYTES = 200_000_000
"""Left free beside all that is planned: chats and settings must still be written."""


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
