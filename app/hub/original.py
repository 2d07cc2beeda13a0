"""The original weights of a repository without their bytes: a folder that a conversion can be planned from.

Configuration and tokenizer are whole, each safetensors file is its header and a hole up to its full size. The folder is
called as the download's would be: its name goes into the header of what is made, and so into its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.errors import HubError, StorageError
from app.hub.remote import RemoteBeginning, drop_oldest
from app.hub.repository import RemoteFile, RemoteModel, Repository
from app.hub.transport import Call, Hub, Transport
from app.system.files import own_name
from app.units import size_text

MAX_SMALL_BYTES = 100_000_000
"""The most bytes of all files beside the weights. The largest tokenizers take 40 MB."""
MAX_SAFETENSORS_HEADER_BYTES = 32_000_000
_LENGTH_BYTES = 8
_NOT_READ = frozenset({"vocab.json", "merges.txt", "generation_config.json"})
"""A conversion takes both of the first from tokenizer.json, and nothing from the third."""


@dataclass(frozen=True, slots=True)
class SparseFolder:
    """`traffic_bytes` is 0 where all of it was here already."""

    path: Path
    traffic_bytes: int


def fetch_sparse_folder(
    hub: Hub, repository: Repository, model: RemoteModel, folder: Path, call: Call | None = None
) -> SparseFolder:
    """The folder, below `folder` (`Paths.headers`); what is there is not fetched again.

    Raises HubError, OfflineError, GatedError, StorageError, Cancelled.
    """
    files = [file for file in model.files if file.path not in _NOT_READ]
    _check_small(files)
    place = folder / repository.id / repository.revision
    sparse = place / repository.id.rpartition("/")[2]
    traffic = 0
    try:
        with Transport(hub, call) as transport:
            for file in files:
                traffic += _fetch(transport, repository, file, sparse / file.path)
    except OSError as error:
        raise StorageError(f"The header could not be kept: {error.strerror or error}.") from error
    if traffic:
        drop_oldest(folder, place)
    return SparseFolder(sparse, traffic)


def _check_small(files: list[RemoteFile]) -> None:
    small = sum(file.size_bytes for file in files if not _is_weights(file))
    if small > MAX_SMALL_BYTES:
        raise HubError(
            f"Configuration and tokenizer take {size_text(small)}: that cannot be right.",
            "Look for the same model from another author.",
        )


def _is_weights(file: RemoteFile) -> bool:
    return file.path.endswith(".safetensors")


def _fetch(transport: Transport, repository: Repository, file: RemoteFile, path: Path) -> int:
    """Fetch one file if it is not there; returns the bytes that came over the network."""
    if path.is_file() and path.stat().st_size == file.size_bytes:
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of this call's own: one that was cut off may still be on its way out.
    part = own_name(path)
    url = transport.hub.file_url(repository.id, repository.revision, file.path)
    try:
        with part.open("w+b") as copy:
            traffic = _copy(transport, url, file, copy)
            copy.truncate(file.size_bytes)
        part.replace(path)
        return traffic
    finally:
        part.unlink(missing_ok=True)


def _copy(transport: Transport, url: str, file: RemoteFile, copy: BinaryIO) -> int:
    """All of a small file, the header of one with weights. Raises HubError, OfflineError, Cancelled."""
    beginning = RemoteBeginning(transport, url, file.size_bytes, copy, exact=True)
    if not _is_weights(file):
        beginning.read(file.size_bytes)
        return beginning.traffic_bytes
    # Source: the format's description, github.com/huggingface/safetensors.
    length = int.from_bytes(beginning.read(_LENGTH_BYTES), "little")
    if not 2 <= length <= min(MAX_SAFETENSORS_HEADER_BYTES, file.size_bytes - _LENGTH_BYTES):
        raise HubError(f"“{file.name}” in the repository is damaged: what it says of itself cannot be right.")
    beginning.read(length)
    return beginning.traffic_bytes
