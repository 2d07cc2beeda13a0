"""What flows into a tensor: an importance matrix that lies beside the model, or some windows of text, read now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import AppError
from app.inspect.tensors import Tensor
from app.operation import Report, ShouldStop

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
