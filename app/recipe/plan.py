"""What a recipe would make of a model, and what each step would take, before anything is done."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from app.convert.checkpoint import SourceTensor, open_checkpoint
from app.convert.configuration import Config, read_config
from app.engine.messages import KvType, MachineSpeed
from app.errors import AppError, Cancelled, RecoverError
from app.fit.speed import predicted_ms, read_speed_book
from app.fit.verdict import memory_budget
from app.library.manifest import original_of
from app.measure.quality import default_windows
from app.operation import Context, ShouldStop
from app.prune.messages import Prune
from app.prune.other_architecture import Housed, Widths, housed, widths_of
from app.prune.peak import PROGRAM_BYTES, memory_bytes
from app.quantize.importance import estimate_chunks
from app.quantize.messages import ConversionPlanned, PlanConversion, PlannedFile
from app.quantize.native import BUFFER_BYTES
from app.quantize.preview import plan_conversion
from app.recipe.effort import Pace, Work, prune_multiplications, read_pace, recover_multiplications
from app.recipe.messages import PlanRecipe, RecipePlanned, ResultPlan, StepPlan
from app.recipe.recipe import QuantizeStep, Recipe, Step, read_recipe
from app.recipe.words import Shape, changes, shape_of
from app.recipe.work import ModelStep, RecipeWork, model_steps, place_for, work_of
from app.recover.messages import Recover
from app.system.files import free_bytes, lack_of_room, own_folder
from app.system.frozen import require_torch
from app.system.paths import Paths
from app.units import size_text

_WEIGHTS_A_SECOND = 3e7
"""Quantized on one core, K-quants; measured 1.2e8 for Q4_0 on two. Reading, writing and hashing are in it."""
_GUESSED_BYTES_A_SECOND = 5e9
"""A guess of the bytes of weights, in answering, where this computer's speed was not measured yet; laptops read 5 to
50 GB/s.
"""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all parts of the planning need."""

    request: PlanRecipe
    recipe: Recipe
    work: RecipeWork
    chain: tuple[ModelStep, ...]
    stubs: dict[Shape, CutStub]
    paths: Paths

    def stub(self, shape: Shape) -> CutStub:
        """Made once: rounds and recoveries share shapes."""
        if shape not in self.stubs:
            self.stubs[shape] = cut_stub(self.request.source, shape)
        return self.stubs[shape]

    @property
    def final(self) -> Shape:
        return self.chain[-1].shape if self.chain else shape_of(self.request.source)


def plan_recipe(request: PlanRecipe, context: Context) -> RecipePlanned:
    """Exact sizes for uniform cuts, memory as llama.cpp plans it, predicted ms a token; time and disk of every step.

    `request.recipe` is the text of a recipe's file. Never raises for a recipe or a model that does not do: then
    `problem` says why. Raises Cancelled.
    """
    place = place_for(request.source, context.paths)
    free = free_bytes(place) or 0
    try:
        recipe = read_recipe(request.recipe)
        work = work_of(recipe, request.source, place)
        plan = _Plan(request, recipe, work, model_steps(recipe, request.source), {}, context.paths)
        with own_folder() as folder:
            return _planned(plan, folder, free, context.stop)
    except AppError as error:
        problem = f"{error.sentence} {error.hint}".strip()
        return RecipePlanned(request.source, (), (), 0, 0, free, problem)


def _planned(plan: _Plan, folder: Path, free: int, stop: ShouldStop) -> RecipePlanned:
    final = plan.stub(plan.final)
    stub = folder / plan.work.model.resolve().name  # the name is in the header, and so in the size
    write_stub(final, stub, plan.request.source)
    types = tuple(dict.fromkeys(k for s in plan.recipe.steps if isinstance(s, QuantizeStep) for k in s.types))
    made = plan_conversion(
        PlanConversion(stub, types or ("Q4_K_M",), (plan.request.context_tokens,)), Context(stop=stop)
    )
    steps = []
    for number, step in enumerate(plan.recipe.steps):
        if stop():
            raise Cancelled
        steps.append(_step(plan, number, step, folder, made))
    peak = _peak_disk(plan, steps, made)
    result = RecipePlanned(
        source=plan.request.source,
        steps=tuple(steps),
        results=tuple(_result(plan, file) for file in made.files if file.type in types),
        parameters_after=final.parameters,
        disk_bytes=peak,
        free_disk_bytes=free,
        notice=plan.work.notice,
        then=plan.work.then,
    )
    return dataclasses.replace(result, problem=made.problem or _problem(plan, result))


def _problem(plan: _Plan, planned: RecipePlanned) -> str:
    """What this machine has not: PyTorch, room on the disk, memory."""
    if plan.chain and (missing := _missing_torch()):
        return missing
    if full := lack_of_room("On the way it takes up to", planned.disk_bytes, planned.free_disk_bytes):
        return f"{full} Free some space, or move the model to a larger disk."
    most = max((step.peak_memory_bytes for step in planned.steps), default=0)
    budget = memory_budget().machine_bytes
    if most > budget:
        return (
            f"It takes about {size_text(most)} of memory, and this computer has {size_text(budget)} for it. "
            "Take fewer tokens of a text at a time, LoRA instead of all weights, or a smaller model."
        )
    return ""


def _missing_torch() -> str:
    try:
        require_torch()
    except AppError as error:
        return f"{error.sentence} {error.hint}"
    return ""


def _result(plan: _Plan, file: PlannedFile) -> ResultPlan:
    speed = read_speed_book(plan.paths.speed).speed
    need = file.curve.need(plan.request.context_tokens, KvType.F16)
    ms = predicted_ms(file.reads, 0, speed) if speed else None
    return ResultPlan(file.type, file.size_bytes, need.resident_bytes, ms)


def _step(plan: _Plan, number: int, step: Step, folder: Path, made: ConversionPlanned) -> StepPlan:
    if isinstance(step, QuantizeStep):
        return _quantize_step(plan, step, made)
    mine = [one for one in plan.chain if one.step == number]
    before = _before(plan, number)
    costs = [
        _cost(plan, one, shape, folder) for one, shape in zip(mine, [before, *(o.shape for o in mine)], strict=False)
    ]
    cuts = sum(isinstance(one.request, Prune) for one in mine)
    size = plan.stub(mine[-1].shape).size_bytes
    return StepPlan(
        seconds=sum(cost.seconds for cost in costs),
        peak_memory_bytes=max(cost.memory_bytes for cost in costs),
        disk_bytes=max(plan.stub(one.shape).size_bytes for one in mine),
        kept_bytes=size if mine[-1] is plan.chain[-1] else 0,
        changes=changes(step, before, mine[-1].shape, cuts, any(not cost.measured for cost in costs)),
    )


def _before(plan: _Plan, number: int) -> Shape:
    earlier = [one.shape for one in plan.chain if one.step < number]
    return earlier[-1] if earlier else shape_of(plan.request.source)


@dataclass(frozen=True, slots=True)
class _Cost:
    seconds: float
    memory_bytes: int
    measured: bool


def _cost(plan: _Plan, one: ModelStep, before: Shape, folder: Path) -> _Cost:
    """The cost of one request, on a model that has the shape `before`."""
    source = plan.request.source
    if isinstance(one.request, Prune):
        stub, pace = plan.stub(before), read_pace(plan.paths.effort, Work.PRUNE)
        config = read_config(source)
        count = prune_multiplications(one.request, config, before, stub.parameters)
        tokens = one.request.chunks * one.request.context_tokens
        memory = PROGRAM_BYTES + memory_bytes(one.request, stub.tensors, tokens)
        return _Cost(pace.seconds(count), memory, pace.measured)
    stub, pace = plan.stub(one.shape), read_pace(plan.paths.effort, Work.RECOVER)
    teacher = plan.stub(shape_of(source)).parameters
    seconds = _recover_seconds(pace, one.request, stub.parameters, teacher)
    return _Cost(seconds, _recover_memory(plan, one, folder), pace.measured)


def _recover_seconds(pace: Pace, request: Recover, parameters: int, teacher: int) -> float:
    return pace.seconds(recover_multiplications(request, parameters, teacher))


def _recover_memory(plan: _Plan, one: ModelStep, folder: Path) -> int:
    """The memory as recovery itself counts it, in the way with the least memory that it knows where no other fits."""
    from app.recover.memory import Way, choose_way, need_of
    from app.recover.memory import shape_of as weights_of

    assert isinstance(one.request, Recover)
    tensors = plan.stub(one.shape)
    stub = folder / f"shape-{list(plan.stubs).index(one.shape)}"
    if not stub.exists():
        write_stub(tensors, stub, plan.request.source)
    model, teacher = weights_of(stub), weights_of(original_of(plan.request.source))
    sparse = one.shape.zeros > 0
    try:
        return choose_way(one.request, model, teacher, sparse=sparse).peak_bytes
    except RecoverError:
        return need_of(one.request, model, teacher, Way(1, True), sparse=sparse).peak_bytes


def _quantize_step(plan: _Plan, step: QuantizeStep, made: ConversionPlanned) -> StepPlan:
    files = [file for file in made.files if file.type in step.types]
    sizes = [file.size_bytes for file in files]
    parameters = plan.stub(plan.final).parameters
    seconds = len(files) * parameters / _WEIGHTS_A_SECOND
    speed = read_speed_book(plan.paths.speed).speed
    seconds += sum(_measuring_seconds(plan, file, parameters, step, speed) for file in files)
    source_bytes = plan.stub(shape_of(plan.request.source)).size_bytes
    libraries = PROGRAM_BYTES if plan.chain else 0  # they stay in the process that has pruned
    # Rows of a tensor as they are and in f32 twice over: a buffer at the most, and no more than all of a small model.
    quantizing = min(3 * BUFFER_BYTES, 5 * source_bytes)
    needs = [file.curve.need(plan.request.context_tokens, KvType.F16).resident_bytes for file in files]
    return StepPlan(
        seconds=seconds,
        peak_memory_bytes=libraries + max([quantizing, *(need + source_bytes for need in needs)]),
        disk_bytes=sum(sizes) + max(made.between_bytes, source_bytes),
        kept_bytes=sum(sizes),
        changes=changes(step, plan.final, plan.final, 1, speed is None),
    )


def _measuring_seconds(
    plan: _Plan, file: PlannedFile, parameters: int, step: QuantizeStep, speed: MachineSpeed | None
) -> float:
    """The importance matrix, and the evaluation text read with source and result."""
    ms = predicted_ms(file.reads, 0, speed) if speed else 1000 * file.size_bytes / _GUESSED_BYTES_A_SECOND
    source = plan.stub(shape_of(plan.request.source)).parameters
    windows = default_windows(source, 512)
    reading = windows * 512 * ms / 1000 / 3.5 * (1 + 3 * source / max(1, parameters))
    calibrating = 3 * estimate_chunks() * 512 * ms / 1000 / 3.5 if step.calibrate or step.best else 0.0
    return reading + calibrating


def _peak_disk(plan: _Plan, steps: Sequence[StepPlan], made: ConversionPlanned) -> int:
    """Two models on the way are there at a time; at the end the result and its files."""
    sizes = [plan.stub(one.shape).size_bytes for one in plan.chain]
    pairs = [one + other for one, other in zip([0, *sizes], sizes, strict=False)]
    last = sizes[-1] if sizes else 0
    files = [
        step.disk_bytes for step, one in zip(steps, plan.recipe.steps, strict=True) if isinstance(one, QuantizeStep)
    ]
    return max([*pairs, last + sum(files)])


# The folder that a uniform cut would make, without its weights: config.json and sparse safetensors.
#
# From it a conversion is planned as from any folder, so that the size of what a recipe makes is exact before it begins.


_LAYER = re.compile(r"(?:^|\.)(?:layers|h)\.(\d+)\.(.+)$")
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_NOT_COPIED = (".safetensors", ".gguf", ".bin", ".part")
_LARGEST_COPY = 100_000_000
"""The largest tokenizers take 40 MB."""


@dataclass(frozen=True, slots=True)
class StubTensor:
    """A tensor that is not there: safetensors' type, and its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """The size as it would lie on disk."""
        return prod(self.shape) * _ITEM_BYTES[self.dtype]


@dataclass(frozen=True, slots=True)
class CutStub:
    """A folder's configuration and tensors."""

    config: dict[str, Any]
    tensors: tuple[StubTensor, ...]

    @property
    def parameters(self) -> int:
        """Weights that are stored."""
        return sum(prod(tensor.shape) for tensor in self.tensors)

    @property
    def size_bytes(self) -> int:
        """The size of all tensors, without headers."""
        return sum(tensor.size_bytes for tensor in self.tensors)


def cut_stub(source: Path, shape: Shape) -> CutStub:
    """What is left of the folder `source` in that shape; all layers alike. Raises ConversionError, PruneError."""
    config, tensors = read_config(source), open_checkpoint(source)
    values = _shorter(config.values, shape.layers)
    before = widths_of(values)[0]
    after = Widths(shape.kv_groups * shape.heads_a_group, shape.kv_groups, shape.ffn)
    uniform = len(set(widths_of(values))) == 1
    # The means of layers that differ are no widths of any: what is known of them is what they were.
    moved = housed(values, [after] * shape.layers) if uniform and after != before else Housed({})
    values = {name: value for name, value in (values | moved.changes).items() if value is not None}
    kept = list(_kept(tensors.values(), config, before, after if uniform else before, shape.layers))
    if moved.zero_output_bias:
        named = next(tensor for tensor in kept if tensor.name.endswith("self_attn.o_proj.weight"))
        names = (re.sub(r"\.\d+\.", f".{n}.", named.name, count=1) for n in range(shape.layers))
        kept += [StubTensor(name.removesuffix("weight") + "bias", named.dtype, (config.width,)) for name in names]
    return CutStub(values, tuple(kept))


def write_stub(stub: CutStub, folder: Path, source: Path) -> None:
    """Write the folder: the tokenizer is the source's own, the weights are a hole. Raises OSError."""
    folder.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file() and not file.name.endswith(_NOT_COPIED) and file.stat().st_size <= _LARGEST_COPY:
            shutil.copy(file, folder)
    for name in ("model.safetensors.index.json", "manifest.json"):
        (folder / name).unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps(stub.config))
    header: dict[str, Any] = {}
    at = 0
    for tensor in stub.tensors:
        end = at + tensor.size_bytes
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, end]}
        at = end
    # Format: the README of github.com/huggingface/safetensors.
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file = folder / "model.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(file, 8 + len(text) + at)


def _shorter(values: dict[str, Any], layers: int) -> dict[str, Any]:
    """The language model's values alone, said to have so many layers."""
    changed = {name: value for name, value in values.items() if name != "text_config"}
    changed["num_hidden_layers"] = layers
    for name, value in changed.items():
        if name == "layer_types" or (isinstance(value, list) and name in _PER_LAYER):
            changed[name] = value[:layers]
    return changed


_PER_LAYER = ("intermediate_size", "num_attention_heads", "num_key_value_heads")


def _kept(tensors: Any, config: Config, before: Widths, after: Widths, layers: int) -> Iterator[StubTensor]:
    for tensor in tensors:
        found = _LAYER.search(tensor.name)
        if found is None:
            yield StubTensor(tensor.name, tensor.dtype, tensor.shape)
        elif int(found[1]) < layers:
            yield StubTensor(tensor.name, tensor.dtype, _shape(tensor, found[2], config, before, after))


def _shape(tensor: SourceTensor, name: str, config: Config, before: Widths, after: Widths) -> tuple[int, ...]:
    """Rows of what makes heads or neurons, columns of what takes them up."""
    rows = {
        "q_proj": (before.heads * config.head, after.heads * config.head),
        "k_proj": (before.kv_heads * config.head, after.kv_heads * config.head),
        "v_proj": (before.kv_heads * config.head, after.kv_heads * config.head),
        "gate_proj": (before.ffn, after.ffn),
        "up_proj": (before.ffn, after.ffn),
    }
    columns = {"o_proj": rows["q_proj"], "down_proj": (before.ffn, after.ffn)}
    module = name.split(".")[-2] if "." in name else ""
    shape = list(tensor.shape)
    if module in rows and shape[0] == rows[module][0]:
        shape[0] = rows[module][1]
    elif module in columns and len(shape) == 2 and shape[1] == columns[module][0]:
        shape[1] = columns[module][1]
    return tuple(shape)
