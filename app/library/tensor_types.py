"""ggml's tensor types and llama.cpp's file types as data, and the name of a quantization from both.

From `ggml.h`, `ggml-common.h` and `llama.h` of the pinned llama.cpp.
"""

from __future__ import annotations

from typing import NamedTuple


class TensorType(NamedTuple):
    """A block of `block` elements takes `block_bytes`."""

    name: str
    block: int
    block_bytes: int


TENSOR_TYPES: dict[int, TensorType] = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    9: TensorType("Q8_1", 32, 40),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    15: TensorType("Q8_K", 256, 292),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
    42: TensorType("Q2_0", 64, 18),
}

FILE_TYPES: dict[int, str] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}
"""`general.file_type`: what the file was quantized to, a mixture of tensor types."""

K_QUANT_BLOCK = 256
"""Weights of a row that share their scales in a K-quant."""

NEEDS_IMPORTANCE = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "Q2_K_S"})
"""Mixtures that llama.cpp refuses to make without an importance matrix."""

GUESSED = 1024
"""This bit of a file type says that llama.cpp guessed it."""

_MAIN_TYPES = {
    "Q2_K_S": ("Q2_K",), "Q3_K_S": ("Q3_K",), "Q3_K_M": ("Q3_K",), "Q3_K_L": ("Q3_K",), "Q4_K_S": ("Q4_K",),
    "Q4_K_M": ("Q4_K",), "Q5_K_S": ("Q5_K",), "Q5_K_M": ("Q5_K",), "IQ2_S": ("IQ2_XS", "IQ2_S"), "IQ2_M": ("IQ2_S",),
    "IQ3_XS": ("IQ3_XXS", "IQ3_S"), "IQ3_M": ("IQ3_S",), "MXFP4_MOE": ("MXFP4",),
}  # fmt: skip

_LEAST_SHARE = 0.05
"""A share of the elements. Small models keep much in other types: a Q4_K_M of rows that 256 does not divide is mostly
Q5_0.
"""


def quantization_name(file_type: int | None, elements: dict[str, int]) -> str:
    """ "Q4_K_M": what the file says it is where its tensors bear that out, else the type that most elements have.

    `elements` counts the elements of the matrices by tensor type.
    """
    total = sum(elements.values())
    if file_type is not None and (name := FILE_TYPES.get(file_type & ~GUESSED)):
        main = sum(elements.get(kind, 0) for kind in _MAIN_TYPES.get(name, (name,)))
        if total == 0 or main >= total * _LEAST_SHARE:
            return name
    return max(elements, key=lambda kind: elements[kind]) if elements else ""
