"""Types for the tensors of a model by measured sensitivity, proved beside the usual mixture: the operation.

[convert] -> copy -> a group at a time in 4 bits, the divergence measured -> the bytes divided -> both files made and
compared with the model on another text. The loss of a type is that of 4 bits times the ratio of their squared errors:
to second order the divergence grows with the square of what is added to the weights, and losses of groups add up.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import gguf
import numpy as np

from app.convert.messages import Convert
from app.engine.evaluation import Logits, open_reader, plan_reading
from app.errors import AppError, Cancelled, QuantizeError, StorageError
from app.inspect.messages import GroupCost, SuggestTypes, TypesSuggested, workspace
from app.inspect.rounding_errors import root_mean_square, stored_as
from app.inspect.tensors import Tensor, open_tensors, sampled_rows
from app.measure import scoring
from app.measure.messages import MeasureQuality, Quality
from app.measure.quality import measure_quality
from app.measure.texts import choose_windows
from app.operation import Context, Event, Progress, Report, ShouldStop, Stage
from app.quantize.calibration import CALIBRATION_TEXT, read_text
from app.quantize.messages import TensorOverride
from app.quantize.native import Options, Planned, planned, quantize_file
from app.system.files import require_room
from app.system.hardware import available_memory_bytes, physical_cores
from app.system.paths import Paths
from app.units import percent, size_text

TYPES = ("Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M")
"""Mixtures whose size a suggestion can be given."""
_WIDE, _NARROW = ("Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0"), ("Q4_0", "Q5_0", "Q8_0")
"""Types to choose from, for rows that 256 divides and for others."""
_CLEARLY = 0.95
"""A share of the usual mixture's divergence: what is less far below it may be chance."""
MOST_EXTRA = 1.0


def suggest_types(request: SuggestTypes, context: Context) -> TypesSuggested:
    """Measure, choose and prove. Raises AppError (a quantized source, no disk, damaged files) and Cancelled; nothing of
    what was made on the way is left."""
    _check(request, context.paths)
    folder = workspace(request, context.paths)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return _suggest(request, folder, context.paths, context.report, context.stop)
    except OSError as error:
        raise StorageError(
            f"{folder} could not be written to: {error.strerror or error}.", "Free some space on its disk."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _suggest(request: SuggestTypes, folder: Path, paths: Paths, report: Report, stop: ShouldStop) -> TypesSuggested:
    source = _as_gguf(request, folder, report, stop)
    usual = planned(source, request.type)
    groups = _groups(source, usual, request.bands)
    losses = _losses(request, source, groups, folder, paths, report, stop)
    chosen = _allocated(groups, losses, usual, request.extra)
    overrides = overrides_of(groups, [choice.type for choice in chosen])
    ours = planned(source, request.type, Options(overrides=overrides, requantize=True))
    before = _proved(request, source, (), folder / "usual.gguf", paths, report, stop)
    after = _proved(request, source, overrides, folder / "suggested.gguf", paths, report, stop)
    costs = tuple(
        GroupCost(group.name, group.elements, loss, choice.type, usual.types[group.tensors[0].row.name])
        for group, loss, choice in zip(groups, losses, chosen, strict=True)
    )
    return _said(request, costs, overrides, (usual.data_bytes, ours.data_bytes), (before, after))


def _said(
    request: SuggestTypes,
    costs: tuple[GroupCost, ...],
    overrides: tuple[TensorOverride, ...],
    sizes: tuple[int, int],
    found: tuple[Quality, Quality],
) -> TypesSuggested:
    usual, ours = (quality.kl_mean for quality in found)
    assert usual is not None
    assert ours is not None
    better = ours.value < _CLEARLY * usual.value
    return TypesSuggested(
        request.model, request.type, costs, overrides, *sizes, usual.value, usual.error, ours.value, ours.error,
        found[0].scored_tokens, better, _sentence(request.type, usual.value, ours.value, sizes, better=better),
    )  # fmt: skip


def _sentence(type: str, usual: float, ours: float, sizes: tuple[int, int], *, better: bool) -> str:
    more = sizes[1] / sizes[0] - 1
    size = "the same size" if abs(more) < 0.005 else f"{percent(abs(more), 1)} {'more' if more > 0 else 'less'} bytes"
    figures = f"KL divergence {ours:.4f} instead of {usual:.4f}, at {size}"
    if better:
        return f"These types lose {percent(1 - ours / usual)} less than {type}: {figures}."
    return f"The usual mixture {type} is as good: {figures}. Keep to it."


def _as_gguf(request: SuggestTypes, folder: Path, report: Report, stop: ShouldStop) -> Path:
    if not request.model.is_dir():
        return request.model
    from app.convert.conversion import convert

    return convert(Convert(request.model, folder / "source.gguf", "bf16"), Context(report=report, stop=stop)).path


def _groups(source: Path, usual: Planned, bands: int) -> tuple[Group, ...]:
    tensors = open_tensors(source)
    wanted = {name for name, kind in usual.types.items() if kind not in ("F32", "F16", "BF16") and name in tensors}
    groups = tuple(group for group in groups_of(tensors, wanted, bands) if four_bits(group.columns))
    if not groups:
        raise QuantizeError("No tensor of this model can be stored in 4 bits.", "Its rows are of uncommon widths.")
    held = {tensor.row.type for group in groups for tensor in group.tensors} - PATCHABLE
    if held:
        raise QuantizeError(
            f"The model is quantized already ({', '.join(sorted(held))}): what it would mind cannot be seen on it.",
            "Start from the model in 16 bits or as Q8_0.",
        )
    return groups


def _losses(
    request: SuggestTypes,
    source: Path,
    groups: Sequence[Group],
    folder: Path,
    paths: Paths,
    report: Report,
    stop: ShouldStop,
) -> list[float]:
    text = read_text(request.text or CALIBRATION_TEXT).decode("utf-8")
    copy = folder / "patched.gguf"
    shutil.copyfile(source, copy)
    threads = request.threads or physical_cores()
    listener = Listener.of_model(source, text, request.context_tokens, request.windows, threads, paths, stop)
    return sensitivities(listener, Patch(copy), copy, groups, report, stop)


def _allocated(groups: Sequence[Group], losses: Sequence[float], usual: Planned, extra: float) -> tuple[Choice, ...]:
    """The types within the sum of the bytes that the usual mixture gives these groups, and `extra` of the whole file
    more.
    """
    names = [tensor.row.name for group in groups for tensor in group.tensors]
    elements = {tensor.row.name: tensor.row.elements for group in groups for tensor in group.tensors}
    budget = sum(Planned.bytes_of(elements[name], usual.types[name]) for name in names)
    choices = [_choices(group, loss) for group, loss in zip(groups, losses, strict=True)]
    return allocate(choices, budget + int(extra * usual.data_bytes))


def _choices(group: Group, loss: float) -> list[Choice]:
    types = _WIDE if group.columns % 256 == 0 else _NARROW
    return [Choice(t, Planned.bytes_of(group.elements, t), loss * noise_ratio(group, t)) for t in types]


def _proved(
    request: SuggestTypes,
    source: Path,
    overrides: tuple[TensorOverride, ...],
    output: Path,
    paths: Paths,
    report: Report,
    stop: ShouldStop,
) -> Quality:
    """Quantize and measure against the source, over the bundled evaluation text."""
    threads = request.threads or physical_cores()

    def on_tensor(begun: int, total: int) -> None:
        report(Progress(Stage.QUANTIZE, begun, total))

    if stop():
        raise Cancelled
    quantize_file(
        source, output, request.type, Options(overrides=overrides, threads=threads, requantize=True), on_tensor
    )
    measure = MeasureQuality(output, source, context_tokens=request.context_tokens, threads=threads)
    return measure_quality(measure, Context(paths=paths, report=report, stop=stop))


def _check(request: SuggestTypes, paths: Paths) -> None:
    if request.type not in TYPES:
        raise QuantizeError(
            f"Types are suggested at the size of a K-quant mixture, and {request.type} is none.",
            f"Take one of {', '.join(TYPES)}.",
        )
    if not 0 <= request.extra <= MOST_EXTRA:
        raise AppError("The extra bytes are a share of the file between 0 and 100 %.")
    if request.windows < 1 or request.bands < 1:
        raise AppError("At least one window is read, and each kind of tensor is one group at least.")
    if not request.model.exists():
        raise AppError(f"“{request.model.name}” is not there any more.", "Look at the list of models again.")
    tensors = open_tensors(request.model)
    if len({tensor.file for tensor in tensors.values()}) > 1 and request.model.is_file():
        raise QuantizeError(
            "The model is in several parts; its types are measured on a single file.", "Join the parts with gguf-split."
        )
    size = sum(tensor.row.size_bytes for tensor in tensors.values())
    hint = "Free some space, or move Bantam's folder to a larger disk."
    require_room("Measuring takes up to", size * (4 if request.model.is_dir() else 3), paths.home, hint)


# Dividing a number of bytes among groups of tensors so that the expected loss is least.
#
# The classic of rate-distortion allocation (Shoham and Gersho 1988, "Efficient bit allocation for an arbitrary set of
# quantizers"): the cheapest choice for all, then always the upgrade that saves most loss a byte, as long as it fits.


@dataclass(frozen=True, slots=True)
class Choice:
    """One type for a group: what it takes, and the loss that is expected of it."""

    type: str
    size_bytes: int
    loss: float


def allocate(choices: Sequence[Sequence[Choice]], budget_bytes: int) -> tuple[Choice, ...]:
    """One choice for each group, together at most `budget_bytes` where the smallest ones are."""
    chosen = [min(options, key=lambda option: (option.size_bytes, option.loss)) for options in choices]
    free = budget_bytes - sum(choice.size_bytes for choice in chosen)
    while True:
        best, gain = -1, 0.0
        for number, options in enumerate(choices):
            for option in options:
                more, saved = option.size_bytes - chosen[number].size_bytes, chosen[number].loss - option.loss
                if 0 < more <= free and saved > 0 and saved / more > gain:
                    best, gain, upgrade = number, saved / more, option
        if best < 0:
            return tuple(chosen)
        free -= upgrade.size_bytes - chosen[best].size_bytes
        chosen[best] = upgrade


# How much a model minds: its KL divergence from itself when one group of its tensors is stored in 4 bits.
#
# The group's weights are replaced, in a copy of the file, by what is read again after ggml has stored them in 4 bits;
# the copy is then an ordinary model that any reader reads. After each group the copy is put back. Divergences are
# measured as in `app.measure.quality`, against the likeliest tokens of the model as it is.


PATCHABLE = frozenset({"F32", "F16", "BF16", "Q8_0"})
"""What values of 4 bits can be written back as with hardly another error."""
_STRETCH_WEIGHTS = 1 << 20
_NOISE_WEIGHTS = 1 << 16
"""So many weights of each tensor, to compare the errors of types."""
_KEPT_BYTES = 256_000_000
_Found = TypeVar("_Found")


def four_bits(columns: int) -> str:
    """The 4-bit type that rows of this width fit; "" for none."""
    return "Q4_K" if columns % 256 == 0 else "Q4_0" if columns % 32 == 0 else ""


def noise_ratio(group: Group, type: str) -> float:
    """Squared error of the group in `type` over that in 4 bits, from some rows of each tensor."""
    ours = theirs = 0.0
    for tensor in group.tensors:
        rows = tensor.rows_at(sampled_rows(tensor.rows, tensor.columns, _NOISE_WEIGHTS))
        share = tensor.row.elements
        ours += share * root_mean_square(rows - stored_as(rows, type)) ** 2
        theirs += share * root_mean_square(rows - stored_as(rows, four_bits(tensor.columns))) ** 2
    return ours / theirs if theirs > 0 else 0.0


class Patch:
    """A copy of a GGUF file in which groups of tensors are stored in 4 bits for a while."""

    def __init__(self, copy: Path) -> None:
        self._copy = copy
        self._at = open_tensors(copy)

    def apply(self, group: Group, stop: ShouldStop) -> None:
        """Replace the group's weights. Raises Cancelled between stretches."""
        for tensor in group.tensors:
            self._write(tensor, four_bits(tensor.columns), stop)

    def take_back(self, group: Group) -> None:
        """Bytes as they are in the source."""
        for tensor in group.tensors:
            with tensor.file.open("rb") as source, self._copy.open("r+b") as copy:
                source.seek(tensor.offset)
                copy.seek(self._at[tensor.row.name].offset)
                copy.write(source.read(tensor.row.size_bytes))

    def _write(self, tensor: Tensor, type: str, stop: ShouldStop) -> None:
        step = max(1, _STRETCH_WEIGHTS // tensor.columns)
        kind = gguf.GGMLQuantizationType[tensor.row.type]
        with self._copy.open("r+b") as copy:
            copy.seek(self._at[tensor.row.name].offset)
            for start in range(0, tensor.rows, step):
                if stop():
                    raise Cancelled
                rows = tensor.read(start, min(start + step, tensor.rows))
                copy.write(gguf.quants.quantize(stored_as(rows, type), kind).tobytes())


@dataclass(frozen=True, slots=True)
class Listener:
    """What the model as it is thinks of some windows of a text, kept to be compared with."""

    windows: tuple[tuple[int, ...], ...]
    window_tokens: int
    threads: int
    paths: Paths
    kept: tuple[scoring.KeptRows, ...]

    @classmethod
    def of_model(
        cls, path: Path, text: str, context_tokens: int, windows: int, threads: int, paths: Paths, stop: ShouldStop
    ) -> Listener:
        """Read `windows` of the text with the model. Raises AppError where the text has none, and Cancelled."""
        plan = plan_reading(path, text, context_tokens)
        _check_memory(plan.need_bytes + _KEPT_BYTES)
        size = min(context_tokens, plan.trained_context_tokens or context_tokens)
        available = len(plan.tokens) // size
        if not available:
            raise AppError(
                f"The text is too short: {len(plan.tokens):,} tokens, and one window takes {size:,}.",
                "Take a longer text.",
            )
        numbers = choose_windows(available, windows)
        chosen = tuple(plan.tokens[number * size : (number + 1) * size] for number in numbers)
        count = min(plan.vocabulary_size, max(1, _KEPT_BYTES // (8 * len(chosen) * size)))
        empty = cls(chosen, size, threads, paths, ())
        kept = empty._read(path, stop, lambda rows, _number: scoring.keep(rows, count))
        return cls(chosen, size, threads, paths, tuple(kept))

    def divergence(self, path: Path, stop: ShouldStop) -> float:
        """Mean KL divergence in nats of another model of the same vocabulary. Raises AppError, Cancelled."""
        found = self._read(path, stop, lambda rows, number: scoring.divergence_from_kept(self.kept[number], rows))
        return float(np.concatenate(found).mean())

    def _read(self, path: Path, stop: ShouldStop, use: Callable[[Logits, int], _Found]) -> list[_Found]:
        reader = open_reader(path, self.window_tokens, self.threads, self.paths, _say_nothing, stop)
        found: list[_Found] = []
        try:
            for window in self.windows:
                for _, rows in reader.read(window):
                    if stop():
                        raise Cancelled
                    found.append(use(rows, len(found)))
        finally:
            reader.close()
        return found


def _check_memory(needed: int) -> None:
    available = available_memory_bytes()
    if needed > available:
        raise AppError(
            f"Measuring takes {size_text(needed)} of memory, and {size_text(available)} are free.",
            "Close other programs, or unload the model that is loaded.",
        )


def _say_nothing(_event: Event) -> None:
    """The loads of many short readings are no progress that anybody wants to see."""


def sensitivities(
    listener: Listener, patch: Patch, copy: Path, groups: Sequence[Group], report: Report, stop: ShouldStop
) -> list[float]:
    """The KL divergence of the model with each group alone in 4 bits. Raises AppError,
    Cancelled.
    """
    found: list[float] = []
    start = time.monotonic()
    report(Progress(Stage.SENSITIVITY, 0, len(groups)))
    for group in groups:
        patch.apply(group, stop)
        found.append(max(0.0, listener.divergence(copy, stop)))
        patch.take_back(group)
        left = (time.monotonic() - start) / len(found) * (len(groups) - len(found))
        report(Progress(Stage.SENSITIVITY, len(found), len(groups), left))
    return found


# Tensors that get a type together: matrices of one kind in a stretch of layers, embedding and output matrix alone.


@dataclass(frozen=True, slots=True)
class Group:
    """`kind` is the name without layer and ending: "ffn_down"; `layers` is empty for a tensor of no layer."""

    kind: str
    layers: tuple[int, ...]
    tensors: tuple[Tensor, ...]

    @property
    def name(self) -> str:
        """ "ffn_down, layers 0 to 3"."""
        if not self.layers:
            return self.kind
        first, last = self.layers[0], self.layers[-1]
        return f"{self.kind}, layer {first}" if first == last else f"{self.kind}, layers {first} to {last}"

    @property
    def elements(self) -> int:
        """Weights in it."""
        return sum(tensor.row.elements for tensor in self.tensors)

    @property
    def columns(self) -> int:
        """Greatest common divisor of its widths: what the block of a type must divide."""
        return int(np.gcd.reduce([tensor.columns for tensor in self.tensors]))


def groups_of(tensors: Mapping[str, Tensor], wanted: Collection[str], bands: int) -> tuple[Group, ...]:
    """The `wanted` tensors, each kind divided into at most `bands` stretches of layers."""
    kinds: dict[str, list[Tensor]] = {}
    for name in tensors:
        if name in wanted:
            kinds.setdefault(_kind(name), []).append(tensors[name])
    found = []
    for kind, members in kinds.items():
        members.sort(key=lambda tensor: tensor.row.block)
        for part in np.array_split(np.arange(len(members)), min(max(1, bands), len(members))):
            chosen = tuple(members[number] for number in part)
            layers = tuple(tensor.row.block for tensor in chosen if tensor.row.block >= 0)
            found.append(Group(kind, layers, chosen))
    return tuple(found)


def overrides_of(groups: Sequence[Group], types: Sequence[str]) -> tuple[TensorOverride, ...]:
    """Regular expressions for Quantize that give each group its type; one for a kind that has the same everywhere."""
    found = []
    for kind in dict.fromkeys(group.kind for group in groups):
        given: dict[str, list[Group]] = {}
        for group, stored in zip(groups, types, strict=True):
            if group.kind == kind:
                given.setdefault(stored, []).append(group)
        for stored, members in given.items():
            found.append(TensorOverride(_pattern(kind, members, whole=len(given) == 1), stored))
    return tuple(found)


def _kind(name: str) -> str:
    return re.sub(r"^blk\.\d+\.", "", name).removesuffix(".weight")


def _pattern(kind: str, members: Sequence[Group], *, whole: bool) -> str:
    layers = [layer for group in members for layer in group.layers]
    if not layers:
        return rf"^{re.escape(kind)}\.weight"
    where = r"\d+" if whole else f"({'|'.join(map(str, sorted(layers)))})"
    return rf"^blk\.{where}\.{re.escape(kind)}\.weight"
