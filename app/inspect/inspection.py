"""The operations that look: the list of a model's tensors, and one of them from all sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import AppError, Cancelled, ModelFileError
from app.inspect.messages import (
    Channel,
    ChannelPicture,
    Histogram,
    Inside,
    LookAtTensor,
    LookInside,
    MethodError,
    TensorLook,
)
from app.inspect.rounding_errors import errors_of
from app.inspect.tensors import ERROR_WEIGHTS, HISTOGRAM_WEIGHTS, Rows, Tensor, open_tensors, sampled_rows, tensor_named
from app.library.gguf_reader import printable
from app.operation import Context, Report, ShouldStop

_LEAST_WEIGHTS = 64
_INTEGERS = frozenset({"I8", "I16", "I32", "I64"})


def look_inside(request: LookInside, _context: Context) -> Inside:
    """List the tensors. Raises ModelFileError, ConversionError with what is wrong with the files."""
    if not request.model.exists():
        raise AppError(f"“{request.model.name}” is not there any more.", "Look at the list of models again.")
    return Inside(request.model, tuple(tensor.row for tensor in open_tensors(request.model).values()))


def look_at_tensor(request: LookAtTensor, context: Context) -> TensorLook:
    """Read one tensor (of a large one some rows) and say what is in it. Raises AppError, Cancelled."""
    tensor = tensor_named(request.model, request.tensor)
    if not tensor.row.elements:
        raise ModelFileError(f"“{printable(request.tensor)}” is empty: it has no weights.", "Choose another tensor.")
    numbers = sampled_rows(tensor.rows, tensor.columns, HISTOGRAM_WEIGHTS)
    weights = tensor.rows_at(numbers)
    if context.stop():
        raise Cancelled
    notes = _sampling_notes(tensor, len(numbers))
    histogram = histogram_of(weights)
    if histogram.not_finite:
        notes.append(
            f"{histogram.not_finite:,} of the weights read are no numbers (NaN or infinity): the model is damaged, and "
            "no errors can be given. Verify it, or download it again."
        )
    errors = () if histogram.not_finite else _errors(tensor, weights, notes, context.stop)
    squares = _inputs(request, tensor, notes, context.report, context.stop)
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


# How the weights of a tensor lie: a histogram over a range symmetric to zero, and the usual moments.


BARS = 121
"""Odd, so that zero is the middle of a bar."""
_DEVIATIONS = 5.0
"""The range in standard deviations. One weight of a normal distribution in 1.7 million lies further out: what
does is worth a mark of its own.
"""


def histogram_of(weights: Rows, bars: int = BARS) -> Histogram:
    """The histogram of all values; moments in f64. The range is 5 standard deviations each way, or less where nothing
    lies there.
    """
    finite = np.isfinite(weights)
    values = weights[finite].astype(np.float64)
    if not values.size:
        return Histogram(-1.0, 1.0, (0,) * bars, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0, int(weights.size))
    mean, deviation = float(values.mean()), float(values.std())
    largest = float(np.abs(values).max())
    high = min(largest, abs(mean) + _DEVIATIONS * deviation) * (1 + 1e-6) or 1.0
    counts, _ = np.histogram(values, bars, (-high, high))
    return Histogram(
        low=-high,
        high=high,
        counts=tuple(map(int, counts)),
        below=int((values < -high).sum()),
        above=int((values > high).sum()),
        read=int(values.size),
        mean=mean,
        deviation=deviation,
        largest=largest,
        excess_kurtosis=_excess_kurtosis(values - mean, deviation),
        zeros=int((values == 0).sum()),
        not_finite=int(weights.size - values.size),
    )


def _excess_kurtosis(centred: np.ndarray[tuple[int], np.dtype[np.float64]], deviation: float) -> float:
    """The fourth moment over the square of the second, less the 3 of a normal distribution; 0 for a constant."""
    if deviation <= 1e-12 * max(1.0, float(np.abs(centred).max(initial=0.0))):
        return 0.0
    return float(((centred / deviation) ** 4).mean()) - 3.0


# Input channels that stand out, the idea of LLM.int8() (Dettmers et al. 2022, arXiv 2208.07339).
#
# There, columns whose activations reach 6 where the others are about 1 stay in 16 bits. GGUF stores a whole tensor in
# one type, so nothing can be kept back column by column; but a tensor with such channels is worth a better type, or
# AWQ's folding. Seen by the weights alone, and by the inputs where their sums of squares (an importance matrix) are
# at hand.


INPUT_TIMES = 6.0
"""LLM.int8()'s threshold, over the median channel instead of over 1."""
WEIGHT_TIMES = 3.0
"""The norm of a column is a mean over its rows and varies less: by a few per cent in a tensor without outliers."""
CHANNEL_BARS = 256
_NAMED = 24


def by_weights(weights: Rows) -> ChannelPicture:
    """The outlier channels, from the norms of the columns of `[row, column]`."""
    return _picture("weights", np.sqrt(np.square(weights, dtype=np.float64).mean(axis=0)), WEIGHT_TIMES)


def by_inputs(squares: NDArray[np.floating]) -> ChannelPicture:
    """The outlier channels, from the mean square of each input `[channel]`, or of each expert's `[expert, channel]`."""
    means = np.atleast_2d(squares).astype(np.float64).mean(axis=0)
    return _picture("inputs", np.sqrt(means), INPUT_TIMES)


def _picture(measure: str, strengths: NDArray[np.float64], threshold: float) -> ChannelPicture:
    typical = float(np.median(strengths)) or float(strengths.mean()) or 1.0
    times = strengths / typical
    found = np.flatnonzero(times >= threshold)
    strongest = found[np.argsort(-times[found], kind="stable")][:_NAMED]
    bars = [float(part.max()) for part in np.array_split(times, min(CHANNEL_BARS, len(times)))]
    outliers = tuple(Channel(int(number), float(times[number])) for number in strongest)
    return ChannelPicture(measure, len(times), threshold, tuple(bars), outliers, len(found))


# What flows into a tensor: an importance matrix that lies beside the model, or some windows of text, read now.


_WINDOWS, _WINDOW_TOKENS = 4, 256


def beside(model: Path) -> Path | None:
    """The importance matrix that `bantam importance` puts beside a model, if it is there."""
    path = model.with_name(model.stem + ".imatrix.gguf")
    return path if model.is_file() and path.is_file() else None


def measured_inputs(model: Path, tensor: Tensor, report: Report, stop: ShouldStop) -> NDArray[np.float32]:
    """Mean squares of the inputs over 1,024 tokens of the bundled text, flat over experts and columns.

    Raises AppError where the model cannot be read this way, and Cancelled.
    """
    from app.engine.activations import ActivationReader
    from app.library.gguf_file import read_header
    from app.quantize.calibration import CALIBRATION_TEXT, opened, prefill_threads, read_all, read_text, windows_of
    from app.quantize.importance_file import Collector

    name = tensor.row.name
    if model.is_dir():
        raise AppError("What flows into a tensor can be looked at in GGUF files.", "Convert the folder first.")
    if tensor.row.block < 0 or len(tensor.row.shape) < 2:
        raise AppError(f"“{name}” is not a matrix of a layer, so its inputs are not looked at.")
    collector = Collector()
    text = read_text(CALIBRATION_TEXT).decode("utf-8")
    with opened(model, _WINDOW_TOKENS, report, stop) as loaded:
        windows = windows_of(loaded, text, _WINDOW_TOKENS, _WINDOWS, CALIBRATION_TEXT)
        threads = prefill_threads(read_header(model))
        reader = ActivationReader(loaded, len(windows[0]), threads, collector, stop, (name,))
        try:
            read_all(reader.read, windows, report)
        finally:
            reader.close()
    sums = collector.entries.get(name)
    if sums is None:
        raise AppError(f"Nothing flowed into “{name}” while the text was read.")
    means = sums.squares / np.maximum(sums.counts, 1)[:, None]
    return means.astype(np.float32).ravel()
