"""The pruned folder while it is made: one shard for each block, complete or absent, so that a kill costs one block at
most.

.name.work/state.json        which request it belongs to, the plan, how many blocks are done
.name.work/activations-3     what flows into block 3, the next one
.name.work/model/            becomes the output when it is complete
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.convert.checkpoint import INDEX, SourceTensor
from app.prune.method import Plan
from app.prune.weights import TORCH_TYPES, as_bytes, stretches
from app.system.files import read_json, write_atomic

_COPIED = (
    *("tokenizer*", "*.model", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json"),
    *("chat_template*", "generation_config.json", "LICENSE*", "NOTICE*"),
)
"""Files of the source folder that are copied, in addition to weights and config.json."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor to be written. Its bytes are asked for only when it is written."""

    name: str
    dtype: str
    """Name of the type in safetensors."""
    shape: tuple[int, ...]
    data: Callable[[], Iterator[memoryview]]

    @property
    def size_bytes(self) -> int:
        """Size of the tensor on disk."""
        return int(np.prod(self.shape, dtype=np.int64)) * TORCH_TYPES[self.dtype].itemsize

    @classmethod
    def of(cls, name: str, values: Tensor, dtype: str) -> Entry:
        """An entry for values in memory."""
        return cls(name, dtype, tuple(values.shape), lambda: as_bytes(values, dtype))

    @classmethod
    def copied(cls, name: str, tensor: SourceTensor) -> Entry:
        """An entry for a tensor on disk, copied as it is."""
        parts = (as_bytes(rows, tensor.dtype) for _, rows in stretches(tensor))
        return cls(name, tensor.dtype, tensor.shape, lambda: (view for part in parts for view in part))


@dataclass(slots=True)
class State:
    """Progress of a run, as state.json stores it."""

    key: str
    """Identifies the request and the source files it reads; see `key_of`."""
    plan: Plan
    done: int = 0
    """Number of kept blocks that are cut and written."""
    zeros: int = 0
    parameters: int = 0
    """Number of weights in the tensors that are written."""
    shards: list[str] = field(default_factory=list)


class FolderWriter:
    """Makes the folder `output`. Raises OSError."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self.work = work_folder(output)
        self.folder = self.work / "model"
        self.state = State("", {})

    def resume(self, key: str) -> bool:
        """Whether an interrupted run of the same request left something to go on with. Otherwise all that is there is
        removed.
        """
        try:
            state = State(**read_json(self.work / "state.json"))
            if state.key == key and all((self.folder / name).is_file() for name in state.shards):
                self.state = state
                return True
        except (OSError, ValueError, TypeError):
            pass
        shutil.rmtree(self.work, ignore_errors=True)
        return False

    def begin(self, key: str, plan: Plan) -> None:
        """Start with an empty folder and this plan."""
        self.folder.mkdir(parents=True)
        self.state = State(key, plan)
        self._save()

    def add(self, shard: str, entries: Sequence[Entry], zeros: int, activations: Tensor | None, done: int) -> None:
        """Write a shard and the next block's input. Once this has returned, a kill cannot undo it."""
        write_shard(self.folder / shard, entries)
        if activations is not None:
            _write_activations(self._activations(done), activations)
        self.state.shards.append(shard)
        self.state.done = done
        self.state.zeros += zeros
        self.state.parameters += sum(int(np.prod(entry.shape, dtype=np.int64)) for entry in entries)
        self._save()
        for old in self.work.glob("activations-*"):
            if old != self._activations(done):
                old.unlink()

    def activations(self, shape: Sequence[int]) -> Tensor | None:
        """The next block's input, [windows, tokens, width]; None where there is none, or only a part of it."""
        try:
            values = np.fromfile(self._activations(self.state.done), np.float32)
        except OSError:
            return None
        return torch.from_numpy(values).view(*shape) if values.size == np.prod(shape, dtype=np.int64) else None

    def complete(self, source: Path, config: Mapping[str, Any]) -> None:
        """Write all files other than the weights."""
        copied = {path for pattern in _COPIED for path in source.glob(pattern) if path.is_file()}
        for path in copied:
            shutil.copyfile(path, self.folder / path.name)
        write_atomic(self.folder / "config.json", json.dumps(config, indent=2, ensure_ascii=False).encode())
        sizes: dict[str, int] = {}
        names: dict[str, str] = {}
        for shard in self.state.shards:
            found = _sizes(self.folder / shard)
            sizes |= found
            names |= dict.fromkeys(found, shard)
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": dict(sorted(names.items()))}
        write_atomic(self.folder / INDEX, json.dumps(index, indent=2).encode())

    def publish(self) -> None:
        """Give the folder its final name, which makes it visible to others, and remove the working folder."""
        self.folder.rename(self._output)
        shutil.rmtree(self.work, ignore_errors=True)

    def remove(self) -> None:
        """Remove the working folder with all that is in it."""
        shutil.rmtree(self.work, ignore_errors=True)

    def _activations(self, done: int) -> Path:
        return self.work / f"activations-{done}"

    def _save(self) -> None:
        write_atomic(self.work / "state.json", json.dumps(asdict(self.state)).encode())


def work_folder(output: Path) -> Path:
    """Folder of an unfinished result: hidden, beside the output."""
    return output.with_name(f".{output.name}.work")


def shard_name(number: int, count: int) -> str:
    """File name of a shard as transformers forms it; `number` counts from 1."""
    return f"model-{number:05}-of-{count:05}.safetensors"


def write_shard(path: Path, entries: Sequence[Entry]) -> None:
    """Write a safetensors file by way of `*.part`, synced and renamed. Format: github.com/huggingface/safetensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for entry in entries:
        end = at + entry.size_bytes
        header[entry.name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for entry in entries:
            for piece in entry.data():
                file.write(piece)
        _sync(file.fileno(), file.flush)
    part.replace(path)


def _write_activations(path: Path, values: Tensor) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        values.numpy().tofile(file)
        _sync(file.fileno(), file.flush)
    part.replace(path)


def _sync(number: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(number)


def _sizes(shard: Path) -> dict[str, int]:
    """Number of bytes of each tensor."""
    with shard.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    offsets = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    return {name: end - begin for name, (begin, end) in offsets.items()}
