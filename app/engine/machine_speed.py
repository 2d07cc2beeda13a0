"""How fast this machine decodes: synthetic models of one type each, through the engine itself. About 10 seconds.

For a child process: it loads native code that has killed processes on some machines.
"""

from __future__ import annotations

import datetime
import statistics
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.engine import machine_record
from app.engine.llama import Context, Model, ModelOptions
from app.engine.messages import FlashAttention, KvType, MachineSpeed, MeasureMachine, TensorSpeed
from app.engine.threads import candidate_thread_counts
from app.errors import Cancelled, LoadError, StorageError
from app.library.tensor_types import TENSOR_TYPES
from app.operation import Context as OperationContext
from app.operation import Progress, ShouldStop, Stage
from app.system.files import own_folder
from app.system.hardware import available_memory_bytes, physical_cores, usable_cores
from app.system.paths import Paths

TYPES = ("Q4_0", "Q8_0", "Q4_K", "Q6_K", "Q5_K", "F16", "IQ4_XS", "Q3_K")
"""The types in the order in which they are most often met."""
_MODEL_BYTES = 200_000_000
"""The size of the weights: several times the last-level cache of a laptop, so that memory is what is measured."""
_LARGE_BYTES = (2_000_000_000, 10_000_000_000, 1_000_000_000)
"""One of each size class whose models are larger than the caches, the likeliest first."""
_MOST_COUNTS = 4
_SHARE_OF_MEMORY = 0.25
_SAMPLES = 12
_DEPTH_TOKENS = 2048
_GROUPED = {"width": 1024, "heads": 16, "kv_heads": 4, "ffn": 512}
"""Four heads share a part of the KV cache, as in most models: each byte of it is computed with four times."""
_SMALL = {"width": 256, "heads": 8, "kv_heads": 8, "ffn": 512}


def measure_machine(_request: MeasureMachine, context: OperationContext) -> MachineSpeed:
    """Measure each type, the KV cache and the cost of a layer. Raises LoadError, StorageError, Cancelled."""
    repack = not machine_record.needs_safe_mode(context.paths.machine)
    steps = len(TYPES) + 2
    with own_folder() as folder:
        path = folder / "model.gguf"

        def token_ms(threads: int) -> float:
            return _run(path, threads, repack, context.stop, lambda loaded: _token_ms(loaded, 4, context.stop))

        def bench(model: SyntheticModel, measure: Callable[[Context], float]) -> float:
            _write(model, path)
            return _run(path, threads, repack, context.stop, measure)

        context.report(Progress(Stage.MEASURE_SPEED, 0, steps))
        _write(_model(TYPES[0]), path)
        threads = _decode_threads(context.paths, token_ms)
        small = SyntheticModel("Q8_0", layers=24, **_SMALL)
        ms_per_layer = bench(small, lambda loaded: _token_ms(loaded, 4, context.stop)) / small.layers
        context.report(Progress(Stage.MEASURE_SPEED, 1, steps))
        deep = SyntheticModel("Q8_0", layers=12, **_GROUPED)
        kv_ms = bench(deep, lambda loaded: _depth_ms(loaded, context.stop))
        kv_speed = deep.kv_bytes_per_token * _DEPTH_TOKENS / max(kv_ms, 1e-3) * 1000
        speeds = []
        for number, kind in enumerate(TYPES):
            context.report(Progress(Stage.MEASURE_SPEED, number + 2, steps))
            model = _model(kind)
            ms = bench(model, lambda loaded: _token_ms(loaded, 4, context.stop))
            seconds = max(ms - model.layers * ms_per_layer, 0.05 * ms) / 1000
            speeds.append(TensorSpeed(kind, model.layers * model.layer_bytes / seconds))
        context.report(Progress(Stage.MEASURE_SPEED, steps, steps))
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return MachineSpeed(tuple(speeds), kv_speed, ms_per_layer, threads, now)


def _decode_threads(paths: Paths, run: Callable[[int], float]) -> int:
    """The thread count as a chat with a model of some size would use: what was measured here for one, else the
    fastest of a few now.

    What was measured for small models does not count: barriers make fewer threads faster for them. `run(threads)` is
    the time of a token of a large one.
    """
    for weights_bytes in _LARGE_BYTES:
        known = machine_record.thread_counts(paths.machine, machine_record.size_class(weights_bytes))
        if known is not None:
            return known.decode
    counts = candidate_thread_counts(usable_cores(), physical_cores())[:_MOST_COUNTS]
    return min(counts, key=run)


def _model(kind: str) -> SyntheticModel:
    """So many layers that the weights are far larger than the caches, and fit in what is free."""
    one = SyntheticModel(kind, layers=1).layer_bytes
    wanted = min(_MODEL_BYTES, int(available_memory_bytes() * _SHARE_OF_MEMORY))
    return SyntheticModel(kind, layers=max(1, round(wanted / one)))


def _write(model: SyntheticModel, path: Path) -> None:
    try:
        model.write(path)
    except OSError as error:
        raise StorageError(
            f"The speed could not be measured, because a file for it could not be written: {error.strerror or error}."
        ) from error


def _run(path: Path, threads: int, repack: bool, stop: ShouldStop, measure: Callable[[Context], float]) -> float:
    try:
        model = Model(path, ModelOptions(repack=repack), lambda _share: not stop())
    except LoadError:
        if stop():
            raise Cancelled from None
        raise
    try:
        context = Context(model, _DEPTH_TOKENS + 512, KvType.F16, FlashAttention.AUTO)
        try:
            context.set_threads(threads, threads)
            return measure(context)
        finally:
            context.close()
    finally:
        model.close()


def _token_ms(context: Context, position: int, stop: ShouldStop) -> float:
    """A low quantile of the times of single tokens: other programs only ever make them longer."""
    times = []
    for number in range(_SAMPLES + 2):
        if stop():
            raise Cancelled
        start = time.perf_counter()
        context.decode([1], position + number)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.quantiles(times[2:], n=4)[0]


def _depth_ms(context: Context, stop: ShouldStop) -> float:
    """How much longer a token takes with _DEPTH_TOKENS in the KV cache."""
    context.decode([1] * 4, 0)
    shallow = _token_ms(context, 4, stop)
    context.clear()
    for start in range(0, _DEPTH_TOKENS, context.batch_tokens):
        context.decode([1] * min(context.batch_tokens, _DEPTH_TOKENS - start), start)
    return _token_ms(context, _DEPTH_TOKENS, stop) - shallow


# A GGUF model of one tensor type for measuring speed: Llama's layers, any size, no vocabulary, a constant as weights.
#
# Every block is the byte 0x2c over and over: as a 16-bit scale 0.065, so that no arithmetic meets a denormal number or
# an infinity, which would be slower than a real model's. What it computes means nothing.


_STRING, _UINT32, _FLOAT32 = 8, 4, 6
_ALIGNMENT = 32
_NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}
_FILL = b"\x2c" * (1 << 20)


@dataclass(frozen=True, slots=True)
class SyntheticModel:
    """Its numbers. The vocabulary is so small that its matrices hardly count."""

    type: str
    layers: int
    width: int = 2048
    heads: int = 16
    kv_heads: int = 4
    ffn: int = 8192
    vocabulary: int = 256
    context: int = 4096

    @property
    def layer_bytes(self) -> int:
        """Weights of one layer."""
        return sum(_size(shape, self.type) for _, shape in self._matrices(0))

    @property
    def kv_bytes_per_token(self) -> int:
        """KV cache in F16."""
        return 2 * 2 * self.layers * self.kv_heads * (self.width // self.heads)

    def write(self, path: Path) -> None:
        """Write the file. Raises OSError."""
        tensors = self._tensors()
        entries = self._entries()
        infos, offset = b"", 0
        for name, shape, kind in tensors:
            infos += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _NUMBERS[kind], offset)
            offset += _padded(_size(shape, kind))
        header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries) + infos
        with path.open("wb") as file:
            file.write(header.ljust(_padded(len(header)), b"\0"))
            while offset > 0:
                offset -= file.write(_FILL[: min(len(_FILL), offset)])

    def _tensors(self) -> list[tuple[str, tuple[int, ...], str]]:
        ends: list[tuple[str, tuple[int, ...], str]] = [
            ("token_embd.weight", (self.width, self.vocabulary), "Q8_0"),
            ("output_norm.weight", (self.width,), "F32"),
            ("output.weight", (self.width, self.vocabulary), "Q8_0"),
        ]
        layers: list[tuple[str, tuple[int, ...], str]] = []
        for n in range(self.layers):
            layers += [(f"blk.{n}.{name}_norm.weight", (self.width,), "F32") for name in ("attn", "ffn")]
            layers += [(name, shape, self.type) for name, shape in self._matrices(n)]
        return [*ends, *layers]

    def _matrices(self, layer: int) -> list[tuple[str, tuple[int, int]]]:
        kv = self.width // self.heads * self.kv_heads
        shapes = {
            "attn_q": (self.width, self.width), "attn_k": (self.width, kv), "attn_v": (self.width, kv),
            "attn_output": (self.width, self.width), "ffn_gate": (self.width, self.ffn),
            "ffn_up": (self.width, self.ffn), "ffn_down": (self.ffn, self.width),
        }  # fmt: skip
        return [(f"blk.{layer}.{name}.weight", shape) for name, shape in shapes.items()]

    def _entries(self) -> list[bytes]:
        numbers = {
            "block_count": self.layers, "context_length": self.context, "embedding_length": self.width,
            "feed_forward_length": self.ffn, "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads, "rope.dimension_count": self.width // self.heads,
            "vocab_size": self.vocabulary,
        }  # fmt: skip
        epsilon = _entry("llama.attention.layer_norm_rms_epsilon", _FLOAT32, struct.pack("<f", 1e-5))
        return [
            _entry("general.architecture", _STRING, _text("llama")),
            _entry("tokenizer.ggml.model", _STRING, _text("no_vocab")),
            *(_entry(f"llama.{key}", _UINT32, struct.pack("<I", value)) for key, value in numbers.items()),
            epsilon,
        ]


def _size(shape: tuple[int, ...], kind: str) -> int:
    type_ = TENSOR_TYPES[_NUMBERS[kind]]
    elements = 1
    for length in shape:
        elements *= length
    return elements // type_.block * type_.block_bytes


def _padded(size: int) -> int:
    return (size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def _entry(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value
