"""The pruned folder while it is made: a shard a block, each whole or not there, so that a kill costs one block at most.

.name.work/state.json        which request it is, the plan, how many blocks are done
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
"""Of the source folder, beside weights and config.json."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor to be written: its bytes are asked for when it is its turn."""

    name: str
    dtype: str
    """safetensors' name."""
    shape: tuple[int, ...]
    data: Callable[[], Iterator[memoryview]]

    @property
    def size_bytes(self) -> int:
        """On disk."""
        return int(np.prod(self.shape, dtype=np.int64)) * TORCH_TYPES[self.dtype].itemsize

    @classmethod
    def of(cls, name: str, values: Tensor, dtype: str) -> Entry:
        """Values in memory."""
        return cls(name, dtype, tuple(values.shape), lambda: as_bytes(values, dtype))

    @classmethod
    def copied(cls, name: str, tensor: SourceTensor) -> Entry:
        """A tensor on disk, as it is there."""
        parts = (as_bytes(rows, tensor.dtype) for _, rows in stretches(tensor))
        return cls(name, tensor.dtype, tensor.shape, lambda: (view for part in parts for view in part))


@dataclass(slots=True)
class State:
    """What is finished."""

    key: str
    """Says which request it is of, and of which source."""
    plan: Plan
    done: int = 0
    """Kept blocks that are cut and written."""
    zeros: int = 0
    parameters: int = 0
    """In the tensors that are written."""
    shards: list[str] = field(default_factory=list)


class FolderWriter:
    """Makes `output`. Raises OSError."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self.work = work_folder(output)
        self.folder = self.work / "model"
        self.state = State("", {})

    def resume(self, key: str) -> bool:
        """Go on with what an interrupted run of the same request left. Without one, whatever lies there is removed."""
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
        """Start anew."""
        self.folder.mkdir(parents=True)
        self.state = State(key, plan)
        self._save()

    def add(self, shard: str, entries: Sequence[Entry], zeros: int, activations: Tensor | None, done: int) -> None:
        """Write a shard and what flows into the next block. When this returns, a kill does not undo it."""
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
        """What flows into the next block, [windows, tokens, width]; None where there is nothing, or not all of it."""
        try:
            values = np.fromfile(self._activations(self.state.done), np.float32)
        except OSError:
            return None
        return torch.from_numpy(values).view(*shape) if values.size == np.prod(shape, dtype=np.int64) else None

    def complete(self, source: Path, config: Mapping[str, Any]) -> None:
        """Everything beside the weights."""
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
        """Give the folder its name: from here on it is there. What it was made in goes."""
        self.folder.rename(self._output)
        shutil.rmtree(self.work, ignore_errors=True)

    def remove(self) -> None:
        """Leave nothing."""
        shutil.rmtree(self.work, ignore_errors=True)

    def _activations(self, done: int) -> Path:
        return self.work / f"activations-{done}"

    def _save(self) -> None:
        write_atomic(self.work / "state.json", json.dumps(asdict(self.state)).encode())


def work_folder(output: Path) -> Path:
    """Where an unfinished result lies, hidden beside it."""
    return output.with_name(f".{output.name}.work")


def shard_name(number: int, count: int) -> str:
    """As transformers names them; `number` counts from 1."""
    return f"model-{number:05}-of-{count:05}.safetensors"


def write_shard(path: Path, entries: Sequence[Entry]) -> None:
    """A safetensors file by way of `*.part`, synced and renamed. Format: github.com/huggingface/safetensors."""
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
    """Bytes of each tensor."""
    with shard.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    offsets = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    return {name: end - begin for name, (begin, end) in offsets.items()}
