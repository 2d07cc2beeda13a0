"""Small files for looking inside: a GGUF with planted weights, of any type that gguf writes."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

PLANTED = (17, 201)
"""Columns of "blk.0.ffn_down.weight" with weights 8 times as large as the others'."""


def normal(rows: int, columns: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, (rows, columns)).astype(np.float32)


def planted(rows: int = 96, columns: int = 512) -> np.ndarray:
    weights = normal(rows, columns)
    weights[:, PLANTED] *= 8
    return weights


def bimodal(rows: int = 64, columns: int = 256) -> np.ndarray:
    """Two narrow bells far apart: evenly spaced values are wasted on the gap."""
    random = np.random.default_rng(2)
    signs = random.choice([-1.0, 1.0], (rows, columns))
    return (signs + random.normal(0, 0.02, (rows, columns))).astype(np.float32)


def write_gguf(path: Path, tensors: dict[str, np.ndarray], kind: str = "F32") -> Path:
    """`kind` is the type of matrices; vectors stay F32."""
    writer = gguf.GGUFWriter(path, "llama")
    number = gguf.GGMLQuantizationType[kind]
    for name, array in tensors.items():
        if array.ndim < 2:
            writer.add_tensor(name, array)
        else:
            writer.add_tensor(name, gguf.quants.quantize(array, number), raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
