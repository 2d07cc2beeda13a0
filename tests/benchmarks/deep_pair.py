"""A pair for drafting whose acceptance is known and whose target costs as much as a larger model's.

    python -m tests.benchmarks.deep_pair [--type Q4_0] [--folder FOLDER]

The target is the starter model with blocks that do nothing: what they add to the residual stream goes through
`attn_output` and `ffn_down`, and those two are zero. Everything else in them is random, so that they cost what real
ones do, whatever type they are stored as. Every block is widened in the same way, with rows of `ffn_gate` and `ffn_up`
that only zero columns of `ffn_down` read. So the target says what the starter model says, at a multiple of its cost,
and both drafts are real: the starter model itself, with which it nearly always agrees, and the 3M model.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.operation import Context
from app.quantize.native import Options, quantize_file
from app.system.paths import STARTER_MODEL
from tests.benchmarks.shapes import cache_folder
from tests.random_models import _weights
from tests.real_models import STDLIB_3M

_WRITES_TO_THE_STREAM = ("attn_output", "ffn_down")
_WIDENED_ROWS = ("ffn_gate", "ffn_up")
_FFN_KEY, _BLOCKS_KEY = "llama.feed_forward_length", "llama.block_count"


@dataclass(frozen=True)
class Depth:
    """What is added to the starter model: blocks, and width to the feed-forward of all of them.

    The default is 475 million parameters: 22 times the starter model's, of the size of a small real one.
    """

    extra_blocks: int = 58
    ffn: int = 4096


@dataclass(frozen=True)
class Pair:
    """The target and its drafts, all of one vocabulary."""

    target: Path
    near: Path
    """The starter model itself."""
    far: Path
    """The 3M model."""
    useless: Path
    """The 3M model with random weights."""


def deep_pair(kind: str = "Q4_0", folder: Path | None = None, depth: Depth = Depth()) -> Pair:
    """The files, made at the first call (half a minute). They stay in the benchmarks' cache folder."""
    place = folder or cache_folder()
    place.mkdir(parents=True, exist_ok=True)
    name = f"deep-{depth.extra_blocks}x{depth.ffn}-{kind.lower()}.gguf"
    far = _kept(place / "stdlib-3m-q8_0.gguf", _write_far)
    return Pair(
        target=_kept(place / name, lambda part: _write_target(part, kind, depth)),
        near=_kept(place / "stdlib-21m-q8_0.gguf", lambda part: shutil.copyfile(STARTER_MODEL, part)),
        far=far,
        useless=_kept(place / "useless-q8_0.gguf", lambda part: _write_useless(part, far)),
    )


def _kept(path: Path, write: Callable[[Path], object]) -> Path:
    """Written under another name first: what is half written is never taken for the whole."""
    if not path.exists():
        part = path.with_suffix(".unfinished")
        part.unlink(missing_ok=True)
        write(part)
        part.replace(path)
    return path


def _write_far(path: Path) -> None:
    convert(Convert(STDLIB_3M, path, "q8_0"), Context())


def _write_useless(path: Path, far: Path) -> None:
    """The same file, so of the same cost and vocabulary, with other numbers in its matrices."""
    shutil.copyfile(far, path)
    rng = np.random.default_rng(1)
    reader = gguf.GGUFReader(path, "r+")
    for tensor in reader.tensors:
        if tensor.tensor_type == Type.Q8_0:
            columns, rows = (int(n) for n in tensor.shape)
            tensor.data[:] = _weights(rng, rows, columns, Type.Q8_0)
    reader.data.flush()


def _write_target(path: Path, kind: str, depth: Depth) -> None:
    """In 16 bits first, then through llama.cpp's quantizer, as any model is."""
    wide = path.with_suffix(".16-bit")
    try:
        _write_wide(wide, depth)
        quantize_file(wide, path, kind, Options(threads=1), lambda _done, _total: None)
    finally:
        wide.unlink(missing_ok=True)


def _write_wide(path: Path, depth: Depth) -> None:
    starter = gguf.GGUFReader(STARTER_MODEL)
    own = {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in starter.tensors}
    blocks = int(starter.fields[_BLOCKS_KEY].contents())
    rng = np.random.default_rng(1)
    idle = {name: _idle(rng, name, own[f"blk.0.{name}"], depth.ffn) for name in _block_names(own)}
    tensors = {name: _widened(rng, name, weights, depth.ffn).astype(_stored(weights)) for name, weights in own.items()}
    for number in range(blocks, blocks + depth.extra_blocks):
        tensors |= {f"blk.{number}.{name}": weights.astype(_stored(weights)) for name, weights in idle.items()}
    writer = gguf.GGUFWriter(path, "llama")
    _copy_header(writer, starter, {_BLOCKS_KEY: blocks + depth.extra_blocks, _FFN_KEY: depth.ffn})
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    for name, weights in tensors.items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_header(writer: gguf.GGUFWriter, source: gguf.GGUFReader, changes: dict[str, int]) -> None:
    for name, field in source.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        sub_type = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(name, changes.get(name, field.contents()), field.types[0], sub_type)


def _block_names(own: dict[str, np.ndarray]) -> list[str]:
    return [name.removeprefix("blk.0.") for name in own if name.startswith("blk.0.")]


def _stored(weights: np.ndarray) -> type[np.generic]:
    return np.float32 if weights.ndim == 1 else np.float16


def _idle(rng: np.random.Generator, name: str, like: np.ndarray, ffn: int) -> np.ndarray:
    """A tensor of a block that adds nothing. Zeros too are read and multiplied in full."""
    widened = _widened(rng, name, like, ffn)
    if widened.ndim == 1:
        return np.ones_like(widened)
    if _part(name) in _WRITES_TO_THE_STREAM:
        return np.zeros_like(widened)
    return _random(rng, *widened.shape)


def _widened(rng: np.random.Generator, name: str, weights: np.ndarray, ffn: int) -> np.ndarray:
    """With the rows, or the columns of zeros, that make the feed-forward `ffn` wide. Others are as they were."""
    if _part(name) in _WIDENED_ROWS:
        return np.concatenate([weights, _random(rng, ffn - weights.shape[0], weights.shape[1])])
    if _part(name) == "ffn_down":
        return np.pad(weights, ((0, 0), (0, ffn - weights.shape[1])))
    return weights


def _part(name: str) -> str:
    return name.split(".")[-2]


def _random(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return rng.standard_normal((rows, columns), np.float32) * columns**-0.5


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--type", default="Q4_0", help="what the target is quantized to (default Q4_0)")
    parser.add_argument("--folder", type=Path, help="where the files are kept (default: the benchmarks' cache folder)")
    return parser.parse_args()


if __name__ == "__main__":
    options = _options()
    print(deep_pair(options.type, options.folder))
