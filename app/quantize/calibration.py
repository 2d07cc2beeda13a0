"""Reading a text with a model to see what flows through it: the text, its windows, the model opened to be read with.

The engine is imported when it is used: the window imports what imports this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.engine import machine_record
from app.engine.messages import LoadModel
from app.errors import AppError, Cancelled, LoadError, StorageError
from app.library.gguf_file import GgufHeader, read_header
from app.operation import Progress, Report, ShouldStop, Stage
from app.system.hardware import physical_cores
from app.system.paths import RESOURCES, default_paths

if TYPE_CHECKING:
    from app.engine.llama import Model

CALIBRATION_TEXT = RESOURCES / "texts" / "calibration.txt"
"""The bundled text: several languages, code and conversations."""
_MAX_TEXT_BYTES = 64 << 20
_LEAST_WINDOW = 32


def read_text(path: Path) -> bytes:
    """The bytes of a text in UTF-8. Raises AppError where there is none."""
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise AppError(
                f"The text {path.name} is larger than {_MAX_TEXT_BYTES >> 20} MiB.",
                "A few hundred kilobytes are enough: more text makes no better matrix.",
            )
        data = path.read_bytes()
        data.decode("utf-8")
    except OSError as error:
        raise StorageError(f"The text {path.name} could not be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise AppError(f"{path.name} is not a text in UTF-8.", "Save it as UTF-8 in an editor.") from error
    return data


def prefill_threads(header: GgufHeader) -> int:
    """The thread count as measured for models of this size on this machine; its cores where nothing was."""
    size_class = machine_record.size_class(header.tensor_bytes)
    measured = machine_record.thread_counts(default_paths().machine, size_class)
    return measured.prefill if measured else physical_cores()


@contextmanager
def opened(path: Path, context_tokens: int, report: Report, stop: ShouldStop) -> Iterator[Model]:
    """The model's weights, once they are known to fit. Raises LoadError, ModelFileError, Cancelled."""
    from app.engine.llama import LOG, Model, ModelOptions
    from app.engine.memory import memory_need, too_large

    load = LoadModel(path, context_tokens)
    if question := too_large(load, memory_need(load)):
        raise LoadError(question.sentence, "Close other programs, or calibrate a smaller type of the same model.")

    def on_progress(share: float) -> bool:
        report(Progress(Stage.LOAD, round(share * 1000), 1000))
        return not stop()

    # The fast kernels can kill the process on some machines: only where this type has run with them.
    known = default_paths().machine
    kind = read_header(path).quantization
    repack = not machine_record.needs_safe_mode(known) and kind in machine_record.verified_file_types(known)
    LOG.clear()
    try:
        model = Model(path, ModelOptions(repack=repack), on_progress)
    except LoadError:
        if stop():
            raise Cancelled from None
        raise
    try:
        yield model
    finally:
        model.close()


def windows_of(model: Model, text: str, context_tokens: int, chunks: int, path: Path) -> list[list[int]]:
    """Whole windows of the text, at most `chunks` (0: all), each with BOS in place of its first token where the model
    wants one. `path` is the text's, for the sentence. Raises AppError where the text is shorter than one.
    """

    length = max(_LEAST_WINDOW, min(context_tokens, model.trained_context_tokens or context_tokens))
    tokens = model.tokenize(text, add_bos=True)
    count = len(tokens) // length
    if count == 0:
        raise AppError(
            f"The text {path.name} is too short: it has {len(tokens):,} tokens, and one window takes {length:,}.",
            "Take a longer text: 50 windows or more are good.",
        )
    if chunks:
        count = min(count, chunks)
    windows = [tokens[i * length : (i + 1) * length] for i in range(count)]
    if model.adds_bos:
        for window in windows:
            window[0] = model.bos
    return windows


def read_all(read: Callable[[list[int]], None], windows: list[list[int]], report: Report) -> None:
    """Call `read` with each window, and say how far it is."""
    start = time.monotonic()
    report(Progress(Stage.CALIBRATE, 0, len(windows)))
    for done, window in enumerate(windows, 1):
        read(window)
        left_s = (time.monotonic() - start) / done * (len(windows) - done)
        report(Progress(Stage.CALIBRATE, done, len(windows), left_s))
