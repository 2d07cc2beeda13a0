"""ggml's own functions beside llama.cpp's interface: the library that llama_cpp loaded, and quantizing rows with it."""

from __future__ import annotations

import ctypes
import importlib
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import app.engine.llama  # noqa: F401  (it opens the binding, whose package must not be imported as a whole)
from app.library.tensor_types import TENSOR_TYPES, TensorType

_NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}


@cache
def ggml_base() -> Any:
    """The library with ggml's basic functions. What is called must have its argument types declared first."""
    bindings = importlib.import_module("llama_cpp._ggml")
    if sys.platform == "win32":  # elsewhere a look-up goes on in the libraries that this one needs
        return ctypes.CDLL(str(Path(bindings.libggml_base_path) / "ggml-base.dll"))
    return bindings.libggml


@cache
def _quantize_chunk() -> Any:
    """`ggml_quantize_chunk` of ggml/include/ggml.h."""
    function = ggml_base().ggml_quantize_chunk
    floats = ctypes.POINTER(ctypes.c_float)
    function.argtypes = [
        ctypes.c_int, floats, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, floats,
    ]  # fmt: skip
    function.restype = ctypes.c_size_t
    return function


def tensor_type(name: str) -> TensorType:
    """The block format with ggml's name, "Q4_K". Raises KeyError."""
    return TENSOR_TYPES[_NUMBERS[name]]


def quantize_rows(rows: NDArray[np.float32], type: str) -> NDArray[np.uint8]:
    """`rows` [row, column] as ggml stores them in `type`, [row, byte]; by ggml's own quantizer, the one of llama.cpp.

    The values must be finite and the columns a multiple of the type's block, or ValueError is raised. Types that need
    an importance matrix (IQ1, IQ2_XXS, IQ2_XS, IQ3_XXS) are not for this function: ggml ends the process over them.
    """
    kind = tensor_type(type)
    count, columns = rows.shape
    if columns % kind.block:
        raise ValueError(f"{columns} columns are no multiple of {kind.block}")
    data = np.ascontiguousarray(rows, np.float32)
    if not np.isfinite(data).all():
        raise ValueError("values that are no numbers")
    result = np.empty((count, columns // kind.block * kind.block_bytes), np.uint8)
    floats = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    _quantize_chunk()(_NUMBERS[type], floats, result.ctypes.data, 0, count, columns, None)
    return result
