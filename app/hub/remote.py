"""The headers of remote models, read without downloading them: a GGUF as a sparse stub, safetensors as shapes.

A stub is the header followed by a hole up to the full size. It takes no more disk than the header, and llama.cpp can
plan every buffer from it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

from app.errors import HubError, StorageError
from app.hub.endpoint import Hub
from app.hub.ranges import RemoteBeginning
from app.hub.repository import RemoteFile, RemoteModel, Repository
from app.hub.transport import Call, Transport
from app.library.gguf_file import GgufHeader, read_header
from app.library.gguf_reader import MAGIC, read_raw
from app.library.not_gguf import HEAD_BYTES, not_gguf_error

MAX_STUBS = 24
"""Kept on disk, a header of some MB each; the oldest go first."""
MAX_CONFIG_BYTES = 4_000_000
MAX_SAFETENSORS_HEADER_BYTES = 32_000_000


@dataclass(frozen=True, slots=True)
class Stub:
    """`path` is the file, of a split model its first part. `traffic_bytes` is 0 where the header was here already."""

    path: Path
    header: GgufHeader
    traffic_bytes: int


@dataclass(frozen=True, slots=True)
class RemoteTensor:
    """A tensor of a safetensors file; `dtype` as written there: "BF16", "F32"."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """What is known of a safetensors model without its weights."""

    config: dict[str, Any]
    tensors: tuple[RemoteTensor, ...]


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
        _drop_oldest(folder, place)
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


def _drop_oldest(folder: Path, newest: Path) -> None:
    kept = sorted(folder.glob("*/*/*"), key=lambda place: place.stat().st_mtime, reverse=True)
    for place in kept[MAX_STUBS:]:
        if place != newest:
            with contextlib.suppress(OSError):
                shutil.rmtree(place)


def fetch_safetensors_header(
    hub: Hub, repository: Repository, model: RemoteModel, call: Call | None = None
) -> SafetensorsHeader:
    """The configuration and the shapes of all tensors. Raises HubError, OfflineError, GatedError, Cancelled."""
    tensors: list[RemoteTensor] = []
    config: dict[str, Any] = {}
    with Transport(hub, call) as transport:
        for file in model.files:
            url = hub.file_url(repository.id, repository.revision, file.path)
            if file.path == "config.json":
                config = _config(RemoteBeginning(transport, url, file.size_bytes, BytesIO()), file)
            elif file.path.endswith(".safetensors"):
                tensors += _tensors(RemoteBeginning(transport, url, file.size_bytes, BytesIO()), file)
    return SafetensorsHeader(config, tuple(tensors))


def _config(beginning: RemoteBeginning, file: RemoteFile) -> dict[str, Any]:
    if file.size_bytes > MAX_CONFIG_BYTES:
        raise _unusable(file)
    return _json_object(beginning.read(file.size_bytes), file)


def _tensors(beginning: RemoteBeginning, file: RemoteFile) -> list[RemoteTensor]:
    """The tensors of one file. Source: the format's description, github.com/huggingface/safetensors."""
    length = int.from_bytes(beginning.read(8), "little")
    if not 2 <= length <= min(MAX_SAFETENSORS_HEADER_BYTES, file.size_bytes - 8):
        raise _unusable(file)
    entries = _json_object(beginning.read(length), file)
    entries.pop("__metadata__", None)
    tensors, end = [], 0
    for name, entry in entries.items():
        try:
            dtype, shape, (_, stop) = str(entry["dtype"]), tuple(map(int, entry["shape"])), entry["data_offsets"]
        except (KeyError, TypeError, ValueError):
            raise _unusable(file) from None
        if not isinstance(stop, int) or any(length < 0 for length in shape):
            raise _unusable(file)
        end = max(end, stop)
        tensors.append(RemoteTensor(name, dtype, shape))
    if 8 + length + end != file.size_bytes:
        raise _unusable(file)
    return tensors


def _json_object(data: bytes, file: RemoteFile) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise _unusable(file) from None
    if not isinstance(value, dict):
        raise _unusable(file)
    return value


def _unusable(file: RemoteFile) -> HubError:
    return HubError(f"“{file.name}” in the repository is damaged: what it says of itself cannot be right.")
