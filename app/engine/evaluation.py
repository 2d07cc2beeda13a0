"""What a model thinks of every token of a text: logits of the scored rows of a window, in slices of bounded memory.

llama.cpp keeps a row of logits for each position that is asked for: for all 512 of a window and a vocabulary of 152,000
these are 311 MB, and as much again in its working buffers. Here a batch asks for the second half of a window only, and
for no more rows at once than ROWS_BYTES hold. Source of every call: llama.cpp's include/llama.h; what is tokenized how,
and which rows count: tools/perplexity/perplexity.cpp.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.engine import loading_marker, machine_record
from app.engine.llama import BATCH_TOKENS, LOG, Context, DecodeError, Model, ModelOptions
from app.engine.memory import heap_bytes
from app.engine.messages import PROCESS_BYTES
from app.errors import AppError, Cancelled, LoadError, ModelFileError
from app.library.gguf_file import GgufHeader, read_header
from app.library.gguf_reader import printable
from app.operation import Progress, Report, ShouldStop, Stage, StopFlag
from app.system.paths import Paths

Logits = npt.NDArray[np.float32]

ROWS_BYTES = 64 * 1024 * 1024
"""The size of logits at once: 512 rows of a small vocabulary, 110 of one of 152,000."""

_LEAST_CONTEXT = 256  # llama.cpp rounds up to it
_NEVER_REPACKED = frozenset({"F32", "F16", "BF16"})
_WARM_UP_TOKENS = 64  # the AMX kernels that kill the process on some machines run for batches of this size only


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """What reading windows with this model takes, and what it makes of the text; known from the header alone."""

    path: Path
    need_bytes: int
    """Weights, KV cache, buffers and logits."""
    parameters: int
    trained_context_tokens: int
    vocabulary_size: int
    vocabulary_digest: str
    """Equal for two models whose tokens are the same, in the same order."""
    tokens: tuple[int, ...]
    """The tokens of the text, BOS in front where the model wants one."""


def plan_reading(path: Path, text: str, window_tokens: int) -> ReadingPlan:
    """Tokenize `text` and ask llama.cpp what windows of `window_tokens` need. No weight is read.

    Raises ModelFileError, LoadError.
    """
    _check_header(path)
    LOG.clear()
    before = heap_bytes()
    model = Model(path, ModelOptions(header_only=True), lambda _share: True)
    vocabulary_bytes = (heap_bytes() or 0) - (before or 0)
    try:
        LOG.clear()
        reader = WindowReader(model, window_tokens, threads=1)
        reader.close_context()
        buffers = sum(LOG.cache_and_compute_bytes()) + reader.rows * model.vocabulary_size * 4
        return ReadingPlan(
            path=path,
            need_bytes=model.weights_bytes + buffers + max(0, vocabulary_bytes) + PROCESS_BYTES,
            parameters=model.parameters,
            trained_context_tokens=model.trained_context_tokens,
            vocabulary_size=model.vocabulary_size,
            vocabulary_digest=_vocabulary_digest(model),
            tokens=tuple(tokenize(model, text)),
        )
    finally:
        model.close()


def open_reader(
    path: Path, window_tokens: int, threads: int, paths: Paths, report: Report, stop: ShouldStop
) -> WindowReader:
    """Load a model for reading windows of `window_tokens`. Raises ModelFileError, LoadError, Cancelled.

    Without the repacked kernels where this machine needs safe mode, and where no tensor has any: a 16-bit source is
    then mapped from its file and not copied. The loading marker says what the process was at, should it die in the
    first decode, as in a chat's load.
    """
    header = _check_header(path)
    safe_mode = machine_record.needs_safe_mode(paths.machine) or _NEVER_REPACKED.issuperset(header.tensor_types)
    with loading_marker.loading(paths.loading_marker, path, safe_mode) as stage:
        reader = WindowReader(_load(path, safe_mode, report, stop), window_tokens, threads)
        try:
            if isinstance(stop, StopFlag):
                reader.abort_when(stop)
            stage.enter(Stage.WARM_UP)
            proven = safe_mode or reader.model.quantization in machine_record.verified_file_types(paths.machine)
            if not proven:
                reader.warm_up()
                machine_record.remember_verified(paths.machine, reader.model.quantization)
        except BaseException:
            reader.close()
            raise
    return reader


def tokenize(model: Model, text: str) -> list[int]:
    """Token ids as llama-perplexity makes them: special tokens written in the text are text, one last newline goes."""
    return model.tokenize(text.removesuffix("\n"), add_bos=True, special=False)


class WindowReader:
    """A model and a context that holds one window. `close` frees both. Not for several threads."""

    def __init__(self, model: Model, window_tokens: int, threads: int) -> None:
        """Takes over the model, also where it fails. Raises LoadError."""
        self.model = model
        self.window_tokens = window_tokens
        self.rows = max(1, min(BATCH_TOKENS, window_tokens, ROWS_BYTES // (4 * model.vocabulary_size)))
        """Rows of logits that a batch may ask for."""
        try:
            self.context = Context(model, max(window_tokens, _LEAST_CONTEXT), outputs=self.rows, threads=threads)
        except LoadError:
            model.close()
            raise
        self._bos = model.bos if model.adds_bos else None

    def close_context(self) -> None:
        """Free the context alone. A second call does nothing."""
        self.context.close()

    def close(self) -> None:
        """Free the context and the weights. A second call does nothing."""
        self.close_context()
        self.model.close()

    def abort_when(self, flag: StopFlag) -> None:
        """Let reading give up in the middle of a batch as soon as `flag` is set."""
        self.context.abort_when(flag)

    def warm_up(self) -> None:
        """Run the kernels once, with the batch size at which all of them run. Raises Cancelled."""
        self._decode([max(0, self.model.eos)] * min(_WARM_UP_TOKENS, self.window_tokens), 0, range(0))

    def read(self, window: Sequence[int]) -> Iterator[tuple[int, Logits]]:
        """Logits of the scored rows of a window: (position of the first row, (rows, vocabulary) f32), in order.

        Scored are the positions from the middle on but the last, whose next token is not in the window. The first
        token is replaced with BOS where the model wants one. An array is llama.cpp's own memory: it is valid until
        the next is asked for. Raises Cancelled, AppError.
        """
        self.context.clear()
        first, end = len(window) // 2, len(window) - 1
        tokens = list(window)
        if self._bos is not None:
            tokens[0] = self._bos
        start = 0
        while start < end:
            stop = min(end, start + self.context.batch_tokens, max(start, first) + self.rows)
            self._decode(tokens[start:stop], start, range(max(first - start, 0), stop - start))
            if stop > first:
                scored = max(start, first)
                rows = stop - scored
                logits = np.ctypeslib.as_array(self.context.logits(rows=rows))
                yield scored, logits.reshape(rows, self.model.vocabulary_size)
            start = stop

    def _decode(self, tokens: Sequence[int], position: int, scored: range) -> None:
        try:
            if not self.context.read(tokens, position, scored):
                raise Cancelled
        except DecodeError as error:
            raise AppError(f"The engine could not read the text: {LOG.reason()} ({error}).") from error


def _load(path: Path, safe_mode: bool, report: Report, stop: ShouldStop) -> Model:
    reported = -1

    def on_progress(share: float) -> bool:
        nonlocal reported
        percent = int(share * 100)
        if percent != reported:
            reported = percent
            report(Progress(Stage.LOAD, percent, 100))
        return not stop()

    LOG.clear()
    try:
        return Model(path, ModelOptions(repack=not safe_mode), on_progress)
    except LoadError:
        if stop():
            raise Cancelled from None
        raise


def _check_header(path: Path) -> GgufHeader:
    """llama.cpp trusts much of what it reads, and aborts the process over the rest. Raises ModelFileError."""
    name = printable(path.name)
    try:
        header = read_header(path)
        problem, hint = header.chat_problem, ""
    except ModelFileError as error:
        problem, hint = error.sentence, error.hint
    if problem:
        sentence = problem if name in problem else f"“{name}” cannot be measured. {problem}"
        raise ModelFileError(sentence, hint)
    return header


def _vocabulary_digest(model: Model) -> str:
    digest = hashlib.sha256()
    for token in range(model.vocabulary_size):
        digest.update(model.token_text(token))
        digest.update(b"\0")
    return digest.hexdigest()
