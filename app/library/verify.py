"""Whether a model's bytes are those that were downloaded: all of them are read and compared with the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from app.errors import Cancelled, ModelFileError, StorageError
from app.library.gguf_file import part_path, read_header, split_name
from app.library.manifest import FileOrigin, origin_of
from app.library.messages import FileCheck, Verified, VerifyModel
from app.operation import Context, Progress, Stage
from app.system import paths

_CHUNK = 1 << 22

_DOWNLOAD, _MAKE = "Delete it and download it again.", "Delete it and make it again."


def sha256_of(path: Path, on_chunk: Callable[[int], None] = lambda _size: None) -> str:
    """The hash of a file's content. Raises StorageError."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                on_chunk(len(chunk))
    except OSError as error:
        raise StorageError(f"“{path.name}” could not be read: {error.strerror or error}.") from error
    return digest.hexdigest()


def verify(request: VerifyModel, context: Context) -> Verified:
    """Check a GGUF model, all parts of a split one. Raises StorageError, ModelFileError, Cancelled."""
    parts = _parts(request.path)
    try:
        total = sum(part.stat().st_size for part in parts)
    except OSError as error:
        raise StorageError(f"“{request.path.name}” is not there: {error.strerror or error}.") from error
    done = 0

    def on_chunk(size: int) -> None:
        nonlocal done
        if context.stop():
            raise Cancelled
        done += size
        context.report(Progress(Stage.VERIFY, done * 1000 // max(total, 1), 1000))

    found = {part: sha256_of(part, on_chunk) for part in parts}
    return _verdict(request.path, found)


def _parts(path: Path) -> list[Path]:
    split = split_name(path.name)
    return [part_path(path, number) for number in range(1, split[2] + 1)] if split else [path]


def _verdict(path: Path, found: dict[Path, str]) -> Verified:
    first = next(iter(found.values()))
    origins = {part: origin_of(part) for part in found}
    for part, sha256 in found.items():
        origin = origins[part]
        if origin is not None and origin.sha256 != sha256:
            came, again = _came(part, origin)
            sentence = f"“{part.name}” is damaged: it is not what {came}. {again}"
            return Verified(path, FileCheck.DAMAGED, sentence, first)
    try:
        read_header(path)
    except ModelFileError as error:
        return Verified(path, FileCheck.DAMAGED, f"{error.sentence} {error.hint}".strip(), first)
    known = [origin for origin in origins.values() if origin is not None]
    if len(known) < len(found):
        sentence = "Its header is sound. Nobody has said what its bytes should be, so no more can be told."
        return Verified(path, FileCheck.UNKNOWN, sentence, first)
    came, _again = _came(path, known[0])
    return Verified(path, FileCheck.SOUND, f"Every byte is as it {came}.", first)


def _came(path: Path, origin: FileOrigin) -> tuple[str, str]:
    """How the file came here, for "as it …", and the way to have it again."""
    if path == paths.STARTER_MODEL:
        return "came with Bantam", "Install Bantam again."
    if origin.steps:
        return "was made", _MAKE
    return "was downloaded" + (f" from {origin.repository}" if origin.repository else ""), _DOWNLOAD
