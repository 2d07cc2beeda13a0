"""llama.cpp's own quantizer through its C interface: what it would make, and making it.

Source: llama_model_quantize in llama.cpp's include/llama.h and src/llama-quant.cpp. It has no abort callback; whoever
wants it to end ends its process. Progress is what it logs.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.engine.llama import LOG, C
from app.errors import QuantizeError
from app.library.tensor_types import FILE_TYPES, TENSOR_TYPES
from app.quantize.messages import TensorOverride

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Importance = Mapping[str, NDArray[np.float32]]
"""By weight: mean squares of its input columns, flat f32, of all experts one after the other."""

_NOT_A_TARGET = ("NVFP4",)  # llama.cpp reads it and does not write it
QUANT_TYPES = {name: number for number, name in FILE_TYPES.items() if name not in _NOT_A_TARGET}
"""llama.cpp's name of a mixture -> its `llama_ftype`."""
_TENSOR_NUMBERS = {kind.name.upper(): number for number, kind in TENSOR_TYPES.items()}
_BY_NAME = {kind.name.upper(): kind for kind in TENSOR_TYPES.values()}

BUFFER_BYTES = 256 << 20
"""Rows of a tensor in memory at once, and as much again in f32 twice over. llama.cpp's default is 8 GiB."""

_TENSOR = re.compile(r"\[\s*(\d+)/\s*(\d+)\]\s+(\S+)\s+- \[\s*([\d, ]+)\], type =\s+(\w+),(.*)")
_NEW_TYPE = re.compile(r"\((\w+)\)\s*$")
_LOG_ERROR = 4


@dataclass(frozen=True, slots=True)
class Options:
    """Beyond the mixture; the names are those of `Quantize`."""

    importance: Importance | None = None
    overrides: Sequence[TensorOverride] = ()
    output_type: str = ""
    embedding_type: str = ""
    threads: int = 1
    requantize: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """What quantizing would make: the type of each tensor, and the bytes of all of them with their padding."""

    types: dict[str, str]
    data_bytes: int
    read_bytes: dict[str, int]
    """The bytes of all tensors by type: what the file would hold."""

    @staticmethod
    def bytes_of(elements: int, type: str) -> int:
        """So many elements in that type."""
        kind = _BY_NAME[type.upper()]
        return elements // kind.block * kind.block_bytes


OnTensor = Callable[[int, int], None]
"""Called with the number of the tensor that is begun, from 0, and how many there are."""


def quantize_file(source: Path, output: Path, type: str, options: Options, on_tensor: OnTensor) -> None:
    """Write `output`, replacing it. Raises QuantizeError with llama.cpp's reason; `output` may then be half there."""
    with _parameters(type, options) as parameters, _Log(on_tensor) as log:
        code = C.llama_model_quantize(os.fsencode(source), os.fsencode(output), ctypes.byref(parameters))
    if code:
        raise QuantizeError(f"The model could not be quantized to {type}: {log.reason()}.")


def planned(source: Path, type: str, options: Options = Options(requantize=True)) -> Planned:
    """What `quantize_file` would write; some ms, and works on a sparse stub. Raises QuantizeError."""
    with _parameters(type, options) as parameters, _Log(lambda _done, _total: None) as log:
        parameters.dry_run = True
        code = C.llama_model_quantize(os.fsencode(source), os.fsencode(source), ctypes.byref(parameters))
    if code:
        raise QuantizeError(f"The model cannot be quantized to {type}: {log.reason()}.")
    types: dict[str, str] = {}
    sizes: dict[str, int] = {}
    total = 0
    for match in filter(None, map(_TENSOR.match, log.lines)):
        new = _NEW_TYPE.search(match[6])
        name = (new[1] if new else match[5]).upper()
        size = Planned.bytes_of(prod(int(n) for n in match[4].split(",")), name)
        types[match[3]] = name
        sizes[name] = sizes.get(name, 0) + size
        total += -(-size // 32) * 32
    return Planned(types, total, sizes)


def type_number(name: str) -> int:
    """The `ggml_type` of a tensor type's name. Raises QuantizeError."""
    number = _TENSOR_NUMBERS.get(name.upper())
    if number is None:
        raise QuantizeError(f"“{name}” is not a type of a tensor.", f"There are {', '.join(sorted(_TENSOR_NUMBERS))}.")
    return number


def file_type(name: str) -> int:
    """The `llama_ftype` of a mixture's name. Raises QuantizeError."""
    number = QUANT_TYPES.get(name.upper())
    if number is None:
        raise QuantizeError(f"“{name}” is not a type to quantize to.", f"There are {', '.join(QUANT_TYPES)}.")
    return number


@contextlib.contextmanager
def _parameters(type: str, options: Options) -> Iterator[Any]:
    """The C structure, with everything it points to alive."""
    parameters = C.llama_model_quantize_default_params()
    parameters.ftype = file_type(type)
    parameters.nthread = max(1, options.threads)
    parameters.allow_requantize = options.requantize
    parameters.max_buf_size = BUFFER_BYTES
    if options.output_type:
        parameters.output_tensor_type = type_number(options.output_type)
    if options.embedding_type:
        parameters.token_embedding_type = type_number(options.embedding_type)
    alive: list[Any] = []
    if options.importance is not None:
        parameters.imatrix = _importance(options.importance, alive)
    if options.overrides:
        parameters.tt_overrides = _overrides(options.overrides)
    yield parameters
    del alive


def _importance(importance: Importance, alive: list[Any]) -> Any:
    """An array that ends with a null name. numpy's buffers are kept in `alive` while C reads them."""
    import numpy as np

    array = (C.llama_model_imatrix_data * (len(importance) + 1))()
    for entry, (name, values) in zip(array, importance.items(), strict=False):
        data = np.ascontiguousarray(values, np.float32)
        alive.append(data)
        entry.name, entry.size = name.encode(), data.size
        entry.data = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    alive.append(array)
    return array


def _overrides(overrides: Sequence[TensorOverride]) -> Any:
    """An array that ends with a null pattern. llama.cpp reads the patterns as regular expressions and would abort."""
    array = (C.llama_model_tensor_override * (len(overrides) + 1))()
    for entry, override in zip(array, overrides, strict=False):
        try:
            re.compile(override.pattern)
        except re.error as error:
            raise QuantizeError(f"“{override.pattern}” is not a regular expression: {error}.") from error
        entry.pattern, entry.type = override.pattern.encode(), type_number(override.type)
    return array


class _Log(contextlib.AbstractContextManager["_Log"]):
    """llama.cpp's log while it quantizes, put together to lines; the engine's own log listens again afterwards."""

    def __init__(self, on_tensor: OnTensor) -> None:
        self.lines: list[str] = []
        self._errors: list[str] = []
        self._begun = ""
        self._on_tensor = on_tensor
        self._callback = C.llama_log_callback(self._on_text)

    def __enter__(self) -> _Log:
        C.llama_log_set(self._callback, None)
        return self

    def __exit__(self, *_: object) -> None:
        C.llama_log_set(LOG._callback, None)

    def reason(self) -> str:
        """llama.cpp's own words, on one line."""
        said = [line for line in self._errors if any(letter.isalpha() for letter in line)]
        return said[-1].split(": ", 1)[-1].strip().rstrip(".") if said else "it gave no reason"

    def _on_text(self, level: int, text: bytes, _data: object) -> None:
        piece = text.decode("utf-8", "replace")
        if level == _LOG_ERROR:
            self._errors.extend(piece.strip().splitlines())
        if match := _TENSOR.match(piece + ("," if "," not in piece else "")):
            self._on_tensor(int(match[1]) - 1, int(match[2]))
        self._begun += piece
        *whole, self._begun = self._begun.split("\n")
        self.lines.extend(whole)
