"""A real pair for the tests: the starter model and the 3 M model trained beside it, and costs that stand still."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize, quantize

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.engine.batch_costs import BatchCosts
from app.operation import Context, StopFlag
from tests.real_models import STDLIB_3M


def draft_file(folder: Path) -> Path:
    """The 3 M model as Q8_0."""
    path = folder / "stdlib-3m-Q8_0.gguf"
    convert(Convert(STDLIB_3M, path, "q8_0"), Context(stop=StopFlag()))
    return path


def useless_file(draft: Path, path: Path) -> Path:
    """The same shape and vocabulary with random weights: what it guesses is noise."""
    return rewrite(draft, path, weights=lambda old: np.random.default_rng(1).normal(0, old.std(), old.shape))


def rewrite(source: Path, path: Path, weights=lambda old: old, **fields: object) -> Path:
    """A copy with other weights in its matrices or other fields; underscores of a name stand for dots."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, "llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = fields.get(field.name.replace(".", "_"), field.contents())
        sub_type = field.types[-1] if field.types[0] is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=sub_type)
    for tensor in reader.tensors:
        data = dequantize(tensor.data, tensor.tensor_type)
        if data.ndim > 1:
            data = quantize(weights(data).astype(np.float32), tensor.tensor_type)
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class FixedCosts(BatchCosts):
    """Costs that no measurement changes, so that what is drafted depends on the models alone.

    As measured of a 1 B model: a batch of four costs little more than a token.
    """

    def __init__(self) -> None:
        super().__init__({1: 80.0, 2: 110.0, 3: 130.0, 4: 112.0, 8: 215.0, 16: 321.0, 32: 634.0})

    def observe(self, size: int, ms: float) -> None:
        """Nothing."""
