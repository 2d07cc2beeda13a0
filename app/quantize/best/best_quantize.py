"""The best four bits, start to end: convert, look at the inputs, fold, quantize with llama.cpp, round again.

The result is an ordinary file of its type: same size, same speed, read by every llama.cpp. The rounding goes through
the layers in order, a few at a time: their inputs are collected from the file as it has become so far, so that later
layers make up for what earlier ones got wrong. It is by far the longest part, and what it goes on from after an
interruption is the file itself: only codes are replaced in it, so that at every moment it is whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize
from numpy.typing import NDArray

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.engine.activations import ActivationReader, Consumer
from app.errors import Cancelled, QuantizeError
from app.library.gguf_file import read_header
from app.operation import Context, Progress, Report, ShouldStop, Stage
from app.quantize.best.inputs import Columns, ColumnStatistics, Grams, Matrix
from app.quantize.best.mapped_tensors import MappedFile, MappedTensor
from app.quantize.best.rounding import FORMATS, MATRICES, Feedback, rounded
from app.quantize.calibration import CALIBRATION_TEXT, opened, prefill_threads, read_all, read_text, windows_of
from app.quantize.messages import Quantize
from app.quantize.native import Options, quantize_file
from app.system.files import read_json, write_atomic
from app.system.hardware import available_memory_bytes, physical_cores
from app.units import size_text

# AWQ: what is large in an input is made small there and large in the weights, so that rounding hurts it less.


_EXPONENTS = np.linspace(0, 1, 11)[1:]
"""Exponents of mean|x|; 0 would change nothing."""
_ROWS = 256
"""Rows of each matrix whose errors are computed: enough to choose one number a layer."""
_STRETCH = 32
"""Weights that share a scale, in all formats that are made here."""
_GAIN = 0.98
"""An error that is not smaller than so much of the unfolded one is not worth a change."""

Exponents = NDArray[np.int32]
"""`[column]`: the powers of two of s."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One place where a scale can move: out of `makers`, divided by s, into `consumers`, multiplied by it.

    A maker that is a matrix is divided by rows, the last `len(s)` of them; a vector by elements.
    """

    makers: tuple[str, ...]
    consumers: tuple[str, ...]


def folds_of(shapes: Mapping[str, tuple[int, ...]]) -> list[Fold]:
    """The places of a model, by the names and shapes (columns first) of its tensors."""
    layers = {int(name.split(".")[1]) for name in shapes if name.startswith("blk.")}
    return [fold for layer in sorted(layers) for fold in _folds_of_layer(f"blk.{layer}.", shapes)]


def _folds_of_layer(layer: str, shapes: Mapping[str, tuple[int, ...]]) -> list[Fold]:
    def present(*names: str) -> tuple[str, ...]:
        return tuple(layer + name for name in names if layer + name in shapes)

    folds = []
    for norm, consumers in (
        ("attn_norm", present("attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_qkv.weight")),
        ("ffn_norm", present("ffn_gate.weight", "ffn_up.weight")),
    ):
        # With one norm for both halves of a layer (parallel residual) it makes more than one input.
        both = layer + "ffn_norm.weight" in shapes or layer + "ffn_up.weight" not in shapes
        if present(f"{norm}.weight") and consumers and both:
            folds.append(Fold(present(f"{norm}.weight", f"{norm}.bias"), consumers))
    up, down = present("ffn_up.weight"), present("ffn_down.weight")
    # Only a product lies between up and down where there is a gate, alone or in the first rows of up.
    if up and down and (present("ffn_gate.weight") or shapes[up[0]][1] == 2 * shapes[down[0]][0]):
        folds.append(Fold(present("ffn_up.weight", "ffn_up.bias"), down))
    return folds


def choose(weights: Collection[Matrix], columns: Columns, *, symmetric: bool) -> Exponents:
    """The powers of two for one input and the matrices `[row, column]` that read it; zeros where nothing is gained."""
    samples, size = columns.samples, np.maximum(columns.mean_absolute, 1e-6)
    picked = [matrix[:: max(1, len(matrix) // _ROWS)] for matrix in weights]
    unchanged = np.zeros(len(size), np.int32)
    least = _GAIN * _error(picked, samples, unchanged, symmetric)
    best = unchanged
    for power in _EXPONENTS:
        scale = power * np.log2(size)
        candidate = np.rint(scale - (scale.max() + scale.min()) / 2).astype(np.int32)
        error = _error(picked, samples, candidate, symmetric)
        if error < least:
            least, best = error, candidate
    return best


def _error(weights: Collection[Matrix], samples: Matrix, exponents: Exponents, symmetric: bool) -> float:
    """Squared error of the outputs over the samples, were the folded weights rounded."""
    total = 0.0
    for matrix in weights:
        folded = np.ldexp(matrix, exponents)
        difference = np.ldexp(_rounded(folded, symmetric) - folded, -exponents)
        total += float(np.square(samples @ difference.T).sum())
    return total


def _rounded(weights: Matrix, symmetric: bool) -> Matrix:
    """The weights in four bits a stretch, as Q4_0 does it, or with a minimum as Q4_K does."""
    stretches = weights.reshape(len(weights), -1, _STRETCH)
    if symmetric:
        largest = np.take_along_axis(stretches, np.abs(stretches).argmax(axis=2)[..., None], axis=2)
        step, base = largest / np.float32(-8), np.float32(0)
        codes = np.clip(np.rint(_divided(stretches, step)), -8, 7)
    else:
        base = np.minimum(stretches.min(axis=2, keepdims=True), 0)
        step = (stretches.max(axis=2, keepdims=True) - base) / np.float32(15)
        codes = np.clip(np.rint(_divided(stretches - base, step)), 0, 15)
    return np.asarray(codes * step + base, np.float32).reshape(weights.shape)


def _divided(values: Matrix, step: Matrix) -> Matrix:
    return np.divide(values, step, out=np.zeros_like(values), where=step != 0)


def fold_file(path: Path, statistics: Mapping[str, Columns], *, symmetric: bool) -> int:
    """Fold the F32, F16 or BF16 file at `path` where it lies, and scale `statistics` with it; returns how many places
    changed. A process that ends on the way leaves a file that is worth nothing. Raises OSError.
    """
    opened = MappedFile(path, "r+")
    tensors = opened.tensors
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    changed = 0
    for fold in folds_of(shapes):
        columns = statistics.get(fold.consumers[0])
        if columns is None or shapes[fold.consumers[0]][0] % _STRETCH:
            continue
        matrices = [dequantize(tensors[name].data, tensors[name].tensor_type) for name in fold.consumers]
        exponents = choose(matrices, columns, symmetric=symmetric)
        if not exponents.any():
            continue
        for name, matrix in zip(fold.consumers, matrices, strict=True):
            _store(tensors[name], np.ldexp(matrix, exponents))
        for name in fold.makers:
            _divide(tensors[name], exponents)
        _scale_statistics(columns, exponents)
        changed += 1
    opened.flush()
    return changed


def _divide(tensor: MappedTensor, exponents: Exponents) -> None:
    values = dequantize(tensor.data, tensor.tensor_type).copy()
    behind = values[-len(exponents) :]
    behind[:] = np.ldexp(behind, -exponents if values.ndim == 1 else -exponents[:, None])
    _store(tensor, values)


def _store(tensor: MappedTensor, values: Matrix) -> None:
    """Exact: the values are what the tensor held, times powers of two."""
    if tensor.tensor_type is Type.BF16:
        tensor.data[:] = (values.view(np.uint32) >> 16).astype("<u2").view(np.uint8).reshape(tensor.data.shape)
    else:
        tensor.data[:] = values.reshape(tensor.data.shape)


def _scale_statistics(columns: Columns, exponents: Exponents) -> None:
    """What the statistics would be, had they been collected from the folded model."""
    columns.absolute = np.ldexp(columns.absolute, -exponents)
    columns.squares = np.ldexp(columns.squares, -2 * exponents)
    columns.kept = [np.ldexp(kept, -exponents).astype(np.float16) for kept in columns.kept]


_WINDOW_TOKENS = 512
_MEMORY_SHARE = 4
"""A quarter of the free memory may hold Gram matrices at once."""
_MOST_GRAM_BYTES = 2 << 30
_METHOD = 1
"""Raised when what is done changes: what an older version left is not gone on with."""


@dataclass(frozen=True, slots=True)
class _Files:
    """What lies in the folder that an interrupted job is continued from."""

    folder: Path

    @property
    def source(self) -> Path:
        """The model in 16 bits, folded."""
        return self.folder / "source.gguf"

    @property
    def result(self) -> Path:
        """The quantized file, its first layers rounded again."""
        return self.folder / "result.gguf"

    @property
    def state(self) -> Path:
        """Which request it is of, and how many layers are done. Absent before the first."""
        return self.folder / "state.json"


def best_quantize(request: Quantize, part: Path, folder: Path, report: Report, stop: ShouldStop) -> None:
    """Write `part`. Raises ConversionError, QuantizeError, LoadError, StorageError, Cancelled. Once the rounding has
    begun, the same request goes on after each of them, and after a kill, from what is in `folder`; it is gone at the
    end, and after an error before that.
    """
    files = _Files(folder)
    key = _key(request)
    if _layers_done(files, key) is None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            _prepare(request, files, report, stop)
            _note(files, key, 0)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    _round_again(request, files, key, report, stop)
    files.result.replace(part)
    shutil.rmtree(folder, ignore_errors=True)


def _key(request: Quantize) -> str:
    """Says whether two requests make the same file: the source, the type, the text, the method."""
    source = request.source
    weights = sorted(source.glob("*.safetensors")) if source.is_dir() else [source]
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in weights]
    overrides = [(override.pattern, override.type) for override in request.overrides]
    said = [_METHOD, request.type, stats, overrides, request.output_type, request.embedding_type]
    return hashlib.sha256(json.dumps(said).encode() + read_text(request.text or CALIBRATION_TEXT)).hexdigest()


def _layers_done(files: _Files, key: str) -> int | None:
    """None where there is nothing to go on from."""
    try:
        state = read_json(files.state)
        whole = state["key"] == key and files.source.is_file() and files.result.is_file()
        return int(state["layers"]) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(files: _Files, key: str, layers: int) -> None:
    write_atomic(files.state, json.dumps({"key": key, "layers": layers}).encode())


def _prepare(request: Quantize, files: _Files, report: Report, stop: ShouldStop) -> None:
    """The folded 16-bit file, and what llama.cpp makes of it."""
    if request.source.is_dir():
        convert(Convert(request.source, files.source, "bf16"), Context(report=report, stop=stop))
    else:
        shutil.copyfile(request.source, files.source)
    _check_memory(files.source)
    statistics = ColumnStatistics()
    _read(request, files.source, statistics, (), report, stop)
    report(Progress(Stage.FOLD, 0, 1))
    if stop():
        raise Cancelled
    fold_file(files.source, statistics.of, symmetric=request.type == "Q4_0")
    report(Progress(Stage.FOLD, 1, 1))
    options = Options(
        importance={name: columns.mean_square for name, columns in statistics.of.items()},
        overrides=request.overrides,
        output_type=request.output_type,
        embedding_type=request.embedding_type,
        threads=request.threads or physical_cores(),
    )

    def on_tensor(done: int, total: int) -> None:
        report(Progress(Stage.QUANTIZE, done, total))

    quantize_file(files.source, files.result, request.type, options, on_tensor)
    if stop():
        raise Cancelled


def _check_memory(source: Path) -> None:
    """Raises QuantizeError where the largest Gram matrix does not fit, before hours have gone into the others."""
    tensors = MappedFile(source).tensors.values()
    columns = max((t.shape[0] for t in tensors if t.name.startswith("blk.") and len(t.shape) == 2), default=0)
    needed, available = MATRICES * 4 * columns**2, available_memory_bytes()
    if needed > available:
        raise QuantizeError(
            f"The best rounding takes {size_text(needed)} of memory beside the model; {size_text(available)} are free.",
            "Close other programs, or quantize with an importance matrix.",
        )


def _read(
    request: Quantize, file: Path, consumer: Consumer, weights: Sequence[str], report: Report, stop: ShouldStop
) -> None:
    """Show the inputs of the file's `weights` (none: all) over the whole text to `consumer`."""
    path = request.text or CALIBRATION_TEXT
    text, threads = read_text(path).decode("utf-8"), request.threads or prefill_threads(read_header(file))
    with opened(file, _WINDOW_TOKENS, report, stop) as model:
        windows = windows_of(model, text, _WINDOW_TOKENS, 0, path)
        reader = ActivationReader(model, len(windows[0]), threads, consumer, stop, weights)
        try:
            read_all(reader.read, windows, report)
        finally:
            reader.close()


def _round_again(request: Quantize, files: _Files, key: str, report: Report, stop: ShouldStop) -> None:
    done = _layers_done(files, key) or 0
    layers = _weights_by_layer(files.result)
    clock = _Clock(len(layers), done, report)
    for group in _groups(layers[done:]):
        grams = Grams()
        names = [name for layer in group for name in layer]
        _read(request, files.result, grams, names, clock.on_event(len(group)), stop)
        _round_weights(files, names, grams, stop)
        done += len(group)
        _note(files, key, done)
        clock.finish(len(group))


def _weights_by_layer(path: Path) -> list[dict[str, int]]:
    """For each layer the matrices that can be rounded again, with their columns."""
    layers: dict[int, dict[str, int]] = {}
    for tensor in MappedFile(path).tensors.values():
        if tensor.name.startswith("blk.") and tensor.tensor_type in FORMATS and len(tensor.shape) == 2:
            layers.setdefault(int(tensor.name.split(".")[1]), {})[tensor.name] = tensor.shape[0]
    return [layers[number] for number in sorted(layers)]


def _groups(layers: Sequence[dict[str, int]]) -> Iterator[Sequence[dict[str, int]]]:
    """Layers whose Gram matrices are collected at once: as many as the memory takes, at least one."""
    limit = min(_MOST_GRAM_BYTES, available_memory_bytes() // _MEMORY_SHARE)
    start = 0
    while start < len(layers):
        end, taken = start, 0
        while end < len(layers):
            # At most every matrix of the layer has an input of its own.
            taken += sum(4 * columns**2 for columns in layers[end].values())
            if end > start and taken > limit:
                break
            end += 1
        yield layers[start:end]
        start = end


def _round_weights(files: _Files, names: Sequence[str], grams: Grams, stop: ShouldStop) -> None:
    """Choose the codes of these matrices again, in the file."""
    source, opened = MappedFile(files.source).tensors, MappedFile(files.result, "r+")
    feedback: dict[int, Feedback] = {}
    for name in names:
        gram = grams.of.get(name)
        if gram is None:
            continue
        weights: Matrix = dequantize(source[name].data, source[name].tensor_type)
        tensor = opened.tensors[name]
        kind = FORMATS[tensor.tensor_type]
        if id(gram) not in feedback:
            # Of one input at a time: the next matrices read another.
            feedback = {id(gram): Feedback(gram.matrix, gram.tokens)}
        codes = rounded(weights, feedback[id(gram)], kind.grid(tensor.data), stop)
        tensor.data[:] = kind.with_codes(tensor.data, codes)
    opened.flush()


class _Clock:
    """Progress over all layers: a layer costs reading the text up to it, and its own rounding."""

    def __init__(self, layers: int, done: int, report: Report) -> None:
        self._layers, self._done, self._first, self._report = layers, done, done, report
        self._start = time.monotonic()

    def on_event(self, group: int) -> Report:
        """What reading the text reports, as a share of this group."""

        def report(event: object) -> None:
            if isinstance(event, Progress) and event.stage is Stage.CALIBRATE:
                self._say(self._done + group * event.done / max(event.total, 1))

        return report

    def finish(self, group: int) -> None:
        """A group is done."""
        self._done += group
        self._say(self._done)

    def _say(self, layers: float) -> None:
        work = self._work(layers) - self._work(self._first)
        rest = self._work(self._layers) - self._work(layers)
        left = (time.monotonic() - self._start) * rest / work if work else 0.0
        self._report(Progress(Stage.REROUND, round(1000 * layers / max(self._layers, 1)), 1000, left))

    def _work(self, layers: float) -> float:
        """Up to this layer, in layers read: the k-th group reads k of them."""
        return layers * (layers + 1) / 2
