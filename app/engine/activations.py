"""What flows into each weight matrix while a model reads a text: the rows that a calibration needs, straight from ggml.

llama.cpp asks an evaluation callback (`llama_context_params.cb_eval`) about every node of its graph before it computes
it, and calls again when a node that was wanted is done. The input of a matrix product then still lies in its buffer:
its address and strides are read from the `ggml_tensor`, whose layout is that of the pinned ggml.h and is compared once
with what ggml's own functions say. No torch, no copy.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engine.ggml_library import ggml_base
from app.engine.llama import BATCH_TOKENS, Context, DecodeError, Model
from app.errors import Cancelled, LoadError
from app.operation import ShouldStop

_PREFIX = b"blk."
"""The matrices of the layers; embedding and output matrix are not calibrated, as in llama-imatrix."""
_LEAST_ROWS = 16
"""Fewer are no rows of tokens but of heads or states; llama-imatrix leaves them out too."""
_F32, _I32 = 0, 26  # GGML_TYPE_F32, GGML_TYPE_I32
_LOGITS_BYTES = 128 << 20
"""llama.cpp reserves rows x vocabulary x 4 bytes twice when it is asked for every row, which a calibration must do (the
last layer computes only the rows asked for). Large vocabularies are read in smaller batches."""
_LEAST_BATCH = 128


class _Tensor(ctypes.Structure):
    """`struct ggml_tensor` of ggml/include/ggml.h."""


_Tensor._fields_ = [
    ("type", ctypes.c_int),
    ("buffer", ctypes.c_void_p),
    ("ne", ctypes.c_int64 * 4),
    ("nb", ctypes.c_size_t * 4),
    ("op", ctypes.c_int),
    ("op_params", ctypes.c_int32 * 16),
    ("flags", ctypes.c_int32),
    ("src", ctypes.POINTER(_Tensor) * 10),
    ("view_src", ctypes.c_void_p),
    ("view_offs", ctypes.c_size_t),
    ("data", ctypes.c_void_p),
    ("name", ctypes.c_char * 64),
    ("extra", ctypes.c_void_p),
    ("padding", ctypes.c_char * 8),
]


@dataclass(frozen=True, slots=True)
class Activation:
    """The input of one matrix product, valid only while the consumer runs: its memory is used again.

    `rows` has ggml's axes in reverse, `[i3, i2, row, column]`; where `experts` is given, `[1, token, slot, column]`.
    """

    weight: str
    """Name of the matrix, "blk.0.attn_q.weight"."""
    matrices: int
    """2-D matrices that are stacked in the weight: its experts, 1 for most."""
    rows: NDArray[np.float32]
    experts: NDArray[np.int32] | None
    """`[token, choice]`: which expert each token goes to. Choice c takes slot c modulo the number of slots."""
    input: int
    """Number of the input. Matrices that read the same rows (query, key and value; gate and up) have the same."""


Consumer = Callable[[Activation], None]


class ActivationReader:
    """A context that reads windows of tokens and shows each input of each layer's matrices to a consumer."""

    def __init__(
        self,
        model: Model,
        context_tokens: int,
        threads: int,
        consumer: Consumer,
        stop: ShouldStop,
        weights: Collection[str] = (),
    ) -> None:
        """`weights` are those whose inputs are shown, none for all; behind the last of them nothing is computed.

        Raises LoadError where llama.cpp cannot make the context, or its tensors are laid out in another way.
        """
        self._watch = _Watch(consumer, stop, frozenset(map(str.encode, weights)))
        self._batch_tokens = min(context_tokens, batch_rows(model.vocabulary_size))
        self._context = Context(
            model,
            context_tokens,
            batch_tokens=self._batch_tokens,
            outputs=self._batch_tokens,
            threads=threads,
            watch=self._watch,
        )

    def close(self) -> None:
        """Free the context. A second call does nothing."""
        self._context.close()

    def read(self, tokens: Sequence[int]) -> None:
        """Read a window from an empty cache. Raises Cancelled, DecodeError, and what the consumer raises."""
        self._context.clear()
        for start in range(0, len(tokens), self._batch_tokens):
            self._decode(tokens[start : start + self._batch_tokens], start)

    def _decode(self, tokens: Sequence[int], position: int) -> None:
        self._watch.begin(len(tokens))
        try:
            whole, failed = self._context.read(tokens, position, range(len(tokens))), None
        except DecodeError as error:
            whole, failed = False, error
        self._watch.end()  # what was raised inside the callback comes first: it is why the decode ended
        if not whole:
            raise failed or DecodeError(f"reading ended at position {position} with {len(tokens)} tokens")


def batch_rows(vocabulary: int) -> int:
    """Tokens read at once: as many as keep the logits within `_LOGITS_BYTES`, a power of two."""
    rows = max(1, _LOGITS_BYTES // (4 * max(1, vocabulary)))
    return min(BATCH_TOKENS, max(_LEAST_BATCH, 1 << (rows.bit_length() - 1)))


class _Watch:
    """The callback. Nothing may be raised through llama.cpp: an error is kept, the graph left, and raised after it."""

    def __init__(self, consumer: Consumer, stop: ShouldStop, weights: frozenset[bytes]) -> None:
        self._consumer, self._stop, self._weights = consumer, stop, weights
        self._ggml = _ggml()
        self._products = {_operation(self._ggml, b"MUL_MAT"): False, _operation(self._ggml, b"MUL_MAT_ID"): True}
        self._checked = False
        self._input, self._input_key = 0, (0, 0)
        self._error: BaseException | None = None
        self._seen: list[str] = []
        self._order: dict[int, list[str]] = {}
        """Per number of tokens, the matrices in the order in which a whole graph meets them."""
        self._expected: list[str] | None = None
        self._done = False

    def begin(self, tokens: int) -> None:
        """Prepare for a decode of so many tokens."""
        self._tokens = tokens
        self._expected = self._order.get(tokens)
        self._seen, self._done, self._error, self._input_key = [], False, None, (0, 0)

    def end(self) -> None:
        """Finish a decode. Raises what went wrong in between."""
        if self._error is not None:
            raise self._error
        self._order.setdefault(self._tokens, self._seen)

    def __call__(self, pointer: int, ask: bool, _user_data: object) -> bool:
        """Answer llama.cpp: before a node, whether it is wanted. After it: whether to go on."""
        if self._done:
            return False
        try:
            if self._stop():
                raise Cancelled
            node = _Tensor.from_address(pointer)
            return self._before(node) if ask else self._after(node)
        except BaseException as error:  # noqa: BLE001  (also KeyboardInterrupt, which may be raised right here)
            self._error, self._done = error, True
            return False

    def _before(self, node: _Tensor) -> bool:
        if not self._is_wanted(node):
            return False
        if self._key(node) != self._input_key:
            return True
        # The input was shown with the matrix before and cannot have been overwritten, as this one still needs it:
        # no need to stop the threads for it again.
        self._show(node)
        return False

    def _after(self, node: _Tensor) -> bool:
        if not self._checked:
            _check_layout(self._ggml, node)
            self._checked = True
        self._input_key = self._key(node)
        self._input += 1
        self._show(node)
        # Behind the last matrix comes only the output matrix, a quarter of a small model's work: leave it out.
        self._done = self._expected is not None and self._seen == self._expected
        return not self._done

    def _is_wanted(self, node: _Tensor) -> bool:
        by_expert = self._products.get(node.op)
        if by_expert is None:
            return False
        weight, rows = node.src[0].contents, node.src[1].contents
        if not weight.name.startswith(_PREFIX) or rows.type != _F32:
            return False
        if self._weights and weight.name not in self._weights:
            return False
        return by_expert or rows.ne[1] >= _LEAST_ROWS

    def _key(self, node: _Tensor) -> tuple[int, int]:
        """Addresses of what is multiplied: the same within one graph only for the same input."""
        ids = ctypes.addressof(node.src[2].contents) if self._products[node.op] else 0
        return ctypes.addressof(node.src[1].contents), ids

    def _show(self, node: _Tensor) -> None:
        weight, rows = node.src[0].contents, node.src[1].contents
        name = weight.name.decode("utf-8", "replace")
        experts = _array(self._ggml, node.src[2].contents, np.dtype(np.int32), 2) if self._products[node.op] else None
        self._seen.append(name)
        matrices = weight.ne[2] * weight.ne[3]
        self._consumer(
            Activation(name, matrices, _array(self._ggml, rows, np.dtype(np.float32), 4), experts, self._input)
        )


def _array(ggml: Any, tensor: _Tensor, dtype: np.dtype[Any], axes: int) -> NDArray[Any]:
    """A view of a tensor's memory, its strides as ggml has them. Raises LoadError where it is not in main memory."""
    if tensor.type != (_F32 if dtype == np.float32 else _I32) or not ggml.ggml_backend_buffer_is_host(tensor.buffer):
        raise LoadError("The engine holds the model's activations where they cannot be read.")
    shape, strides = tuple(tensor.ne)[:axes][::-1], tuple(tensor.nb)[:axes][::-1]
    size = dtype.itemsize + sum((count - 1) * stride for count, stride in zip(shape, strides, strict=True))
    memory = (ctypes.c_char * size).from_address(tensor.data)
    return np.ndarray(shape, dtype, memory, 0, strides)


def _ggml() -> Any:
    """ggml's base library with the functions used here declared."""
    ggml = ggml_base()
    for name, arguments, result in (
        ("ggml_op_name", [ctypes.c_int], ctypes.c_char_p),
        ("ggml_get_name", [ctypes.c_void_p], ctypes.c_char_p),
        ("ggml_get_data", [ctypes.c_void_p], ctypes.c_void_p),
        ("ggml_nelements", [ctypes.c_void_p], ctypes.c_int64),
        ("ggml_backend_buffer_is_host", [ctypes.c_void_p], ctypes.c_bool),
    ):
        function = getattr(ggml, name)
        function.argtypes, function.restype = arguments, result
    return ggml


def _operation(ggml: Any, name: bytes) -> int:
    """The number of an operation, which changes from one version of ggml to the next."""
    for number in range(64):
        if ggml.ggml_op_name(number) == name:
            return number
    raise _other_layout()


def _check_layout(ggml: Any, node: _Tensor) -> None:
    """Compare what this module reads with what ggml's own functions say. Raises LoadError."""
    for tensor in (node, node.src[0].contents, node.src[1].contents):
        at = ctypes.addressof(tensor)
        same = (
            ggml.ggml_get_name(at) == tensor.name
            and ggml.ggml_get_data(at) == tensor.data
            and ggml.ggml_nelements(at) == math.prod(tensor.ne)
        )
        if not same:
            raise _other_layout()


def _other_layout() -> LoadError:
    return LoadError(
        "This llama.cpp is laid out in another way than the one Bantam was made for, so that it cannot be calibrated.",
        "Install the version of llama-cpp-python that Bantam names.",
    )
