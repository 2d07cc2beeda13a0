"""The operations that look: the list of a model's tensors, and one of them from all sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import AppError, Cancelled, ModelFileError
from app.inspect.histogram import histogram_of
from app.inspect.inputs import beside, measured_inputs
from app.inspect.messages import ChannelPicture, Inside, LookAtTensor, LookInside, MethodError, TensorLook
from app.inspect.outliers import by_inputs, by_weights
from app.inspect.rounding_errors import errors_of
from app.inspect.sampling import ERROR_WEIGHTS, HISTOGRAM_WEIGHTS, sampled_rows
from app.inspect.tensors import Rows, Tensor, open_tensors, tensor_named
from app.library.gguf_reader import printable
from app.operation import Report, ShouldStop

_LEAST_WEIGHTS = 64
_INTEGERS = frozenset({"I8", "I16", "I32", "I64"})


def look_inside(request: LookInside) -> Inside:
    """List the tensors. Raises ModelFileError, ConversionError with what is wrong with the files."""
    if not request.model.exists():
        raise AppError(f"“{request.model.name}” is not there any more.", "Look at the list of models again.")
    return Inside(request.model, tuple(tensor.row for tensor in open_tensors(request.model).values()))


def look_at_tensor(request: LookAtTensor, report: Report, stop: ShouldStop) -> TensorLook:
    """Read one tensor (of a large one some rows) and say what is in it. Raises AppError, Cancelled."""
    tensor = tensor_named(request.model, request.tensor)
    if not tensor.row.elements:
        raise ModelFileError(f"“{printable(request.tensor)}” is empty: it has no weights.", "Choose another tensor.")
    numbers = sampled_rows(tensor.rows, tensor.columns, HISTOGRAM_WEIGHTS)
    weights = tensor.rows_at(numbers)
    if stop():
        raise Cancelled
    notes = _sampling_notes(tensor, len(numbers))
    histogram = histogram_of(weights)
    if histogram.not_finite:
        notes.append(
            f"{histogram.not_finite:,} of the weights read are no numbers (NaN or infinity): the model is damaged, and "
            "no errors can be given. Verify it, or download it again."
        )
    errors = () if histogram.not_finite else _errors(tensor, weights, notes, stop)
    squares = _inputs(request, tensor, notes, report, stop)
    pictures = () if histogram.not_finite else _pictures(weights, squares)
    return TensorLook(request.model, tensor.row, histogram, errors, pictures, tuple(notes))


def _sampling_notes(tensor: Tensor, read: int) -> list[str]:
    if read == tensor.rows:
        return []
    return [f"Large: {read:,} of its {tensor.rows:,} rows were read, chosen at random, the same at every look."]


def _errors(tensor: Tensor, weights: Rows, notes: list[str], stop: ShouldStop) -> tuple[MethodError, ...]:
    if tensor.row.type in _INTEGERS or len(tensor.row.shape) < 2 or weights.size < _LEAST_WEIGHTS:
        notes.append("A vector or a table: it is kept as it is when a model is quantized, so no errors are given.")
        return ()
    some = weights[sampled_rows(len(weights), tensor.columns, ERROR_WEIGHTS)]
    if len(some) < tensor.rows:
        notes.append(f"The errors are of {len(some):,} of its {tensor.rows:,} rows.")
    if tensor.row.type not in ("F32", "F16", "BF16", "F64"):
        notes.append(
            f"It is stored as {tensor.row.type} already: the errors are those that would be added to what is left."
        )
    return errors_of(some, tensor.rows, stop)


def _pictures(weights: Rows, squares: NDArray[np.float32] | None) -> tuple[ChannelPicture, ...]:
    if weights.shape[0] < 2:
        return ()
    own = by_weights(weights)
    return (own,) if squares is None else (own, by_inputs(squares.reshape(-1, weights.shape[1])))


def _inputs(
    request: LookAtTensor, tensor: Tensor, notes: list[str], report: Report, stop: ShouldStop
) -> NDArray[np.float32] | None:
    """Mean squares of the tensor's inputs, measured or from an importance matrix; None where there are none."""
    if request.inputs:
        return measured_inputs(request.model, tensor, report, stop)
    matrix: Path | None = request.importance or beside(request.model)
    if matrix is None:
        return None
    from app.quantize.importance import read_importance

    squares = read_importance(matrix).get(tensor.row.name)
    if squares is None or squares.size % tensor.columns:
        return None
    notes.append(f"Inputs as the importance matrix {matrix.name} has them.")
    return squares
