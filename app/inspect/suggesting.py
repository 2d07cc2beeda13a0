"""Types for the tensors of a model by measured sensitivity, proved beside the usual mixture: the operation.

[convert] -> copy -> a group at a time in 4 bits, the divergence measured -> the bytes divided -> both files made and
compared with the model on another text. The loss of a type is that of 4 bits times the ratio of their squared errors:
to second order the divergence grows with the square of what is added to the weights, and losses of groups add up.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from app.convert.messages import Convert
from app.errors import AppError, Cancelled, QuantizeError, StorageError
from app.inspect.allocation import Choice, allocate
from app.inspect.groups import Group, groups_of, overrides_of
from app.inspect.messages import GroupCost, SuggestTypes, TypesSuggested
from app.inspect.sensitivity import PATCHABLE, Listener, Patch, four_bits, noise_ratio, sensitivities
from app.inspect.tensors import open_tensors
from app.inspect.workspace import workspace
from app.measure.messages import MeasureQuality, Quality
from app.measure.quality import measure_quality
from app.operation import Progress, Report, ShouldStop, Stage
from app.quantize.calibration import CALIBRATION_TEXT, read_text
from app.quantize.messages import TensorOverride
from app.quantize.native import Options, Planned, planned, quantize_file
from app.system.disk import require_room
from app.system.hardware import physical_cores
from app.system.paths import Paths
from app.units import percent

TYPES = ("Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M")
"""Mixtures whose size a suggestion can be given."""
_WIDE, _NARROW = ("Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0"), ("Q4_0", "Q5_0", "Q8_0")
"""Types to choose from, for rows that 256 divides and for others."""
_CLEARLY = 0.95
"""Of the usual mixture's divergence: what is less far below it may be chance."""
MOST_EXTRA = 1.0


def suggest_types(request: SuggestTypes, paths: Paths, report: Report, stop: ShouldStop) -> TypesSuggested:
    """Measure, choose and prove. Raises AppError (a quantized source, no disk, damaged files) and Cancelled; nothing of
    what was made on the way is left."""
    _check(request, paths)
    folder = workspace(request, paths)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return _suggest(request, folder, paths, report, stop)
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

    return convert(Convert(request.model, folder / "source.gguf", "bf16"), report, stop).path


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
    """Of the bytes that the usual mixture gives these groups, and `extra` of the whole file more."""
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
    return measure_quality(measure, paths, report, stop)


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
