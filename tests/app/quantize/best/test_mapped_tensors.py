"""Against the gguf package's reader, which is slow and right."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.operation import Context
from app.quantize.best.mapped_tensors import MappedFile
from app.quantize.messages import Quantize
from app.quantize.quantize import quantize
from tests.real_models import STDLIB_3M


@pytest.fixture(params=["f32", "f16", "bf16", "Q4_0", "Q4_K_M"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    output = tmp_path / "m.gguf"
    if request.param.startswith("Q"):
        return quantize(Quantize(STDLIB_3M, output, request.param, threads=1), Context()).path
    return convert(Convert(STDLIB_3M, output, request.param), Context()).path


def test_the_same_as_the_gguf_packages(file: Path) -> None:
    ours, theirs = MappedFile(file).tensors, gguf.GGUFReader(file).tensors
    assert list(ours) == [tensor.name for tensor in theirs]
    for tensor in theirs:
        mine = ours[tensor.name]
        assert (mine.tensor_type, mine.shape) == (tensor.tensor_type, tuple(tensor.shape.tolist()))
        assert mine.data.dtype == tensor.data.dtype
        assert np.array_equal(mine.data, tensor.data)


def test_what_is_written_into_a_tensor_is_in_the_file(file: Path) -> None:
    opened = MappedFile(file, "r+")
    data = opened.tensors["blk.1.ffn_up.weight"].data
    data[3:5] = data[5:7]
    expected = np.array(data)
    opened.flush()
    theirs = {tensor.name: tensor.data for tensor in gguf.GGUFReader(file).tensors}
    assert np.array_equal(theirs["blk.1.ffn_up.weight"], expected)


def test_a_file_opened_to_be_read_cannot_be_written(file: Path) -> None:
    data = MappedFile(file).tensors["blk.1.ffn_up.weight"].data
    with pytest.raises(ValueError, match="read-only"):
        data[0] = 0
