"""What quantizing a model would make, before it is done: asked of llama.cpp with the header alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from app.convert.conversion import write_header
from app.engine.memory import measure_fit
from app.engine.messages import MachineSpeed, MeasureFit, MemoryNeed
from app.errors import Cancelled
from app.fit.judgement import ReadProfile, TypeBytes
from app.fit.speed import predicted_ms, read_speed_book
from app.library.gguf_file import GgufHeader, read_header
from app.library.gguf_reader import RawHeader, read_raw
from app.operation import Context, ShouldStop
from app.quantize.importance import estimate_chunks, estimate_seconds
from app.quantize.messages import ConversionPlanned, Offer, Offers, PlanConversion, PlannedFile, PlanOffers
from app.quantize.native import Planned, planned
from app.system.files import own_folder
from app.system.paths import Paths


def plan_offers(request: PlanOffers, context: Context) -> Offers:
    """Exact sizes, the memory at the context that is asked for, predicted ms a token; a fifth of a second.

    Raises ConversionError, ModelFileError, QuantizeError, LoadError, Cancelled.
    """
    if request.source.is_file():
        return _of_file(request, request.source, 0, context.paths, context.stop)
    with own_folder() as folder:
        stub = folder / "stub.gguf"
        write_header(request.source, stub, "bf16")
        return _of_file(request, stub, stub.stat().st_size, context.paths, context.stop)


def plan_conversion(request: PlanConversion, context: Context) -> ConversionPlanned:
    """Exact sizes and the whole fit of each type; the safetensors of the folder may be sparse.

    Raises ConversionError, QuantizeError, LoadError, Cancelled.
    """
    with own_folder() as folder:
        stub = folder / "stub.gguf"
        write_header(request.folder, stub, "bf16")
        header, raw = read_header(stub), _raw(stub)
        curve = measure_fit(MeasureFit(stub, request.context_tokens, request.kv_types), context)
        files = []
        for name in request.types:
            if context.stop():
                raise Cancelled
            plan = planned(stub, name)
            own = dataclasses.replace(curve, weights_bytes=sum(plan.read_bytes.values()))
            files.append(PlannedFile(name, raw.data_start + plan.data_bytes, own, _reads(plan, header, raw)))
        return ConversionPlanned(request.folder, tuple(files), stub.stat().st_size, header.chat_problem)


def _raw(file: Path) -> RawHeader:
    with file.open("rb") as stream:
        return read_raw(stream, file.stat().st_size, lambda _key: False)


def _of_file(request: PlanOffers, file: Path, between_bytes: int, paths: Paths, stop: ShouldStop) -> Offers:
    header, raw = read_header(file), _raw(file)
    curve = measure_fit(MeasureFit(file, (request.context_tokens,), (request.kv_type,)), Context(stop=stop))
    need = curve.need(request.context_tokens, request.kv_type)
    speed = read_speed_book(paths.speed).speed
    offers = []
    for name in request.types:
        if stop():
            raise Cancelled
        offers.append(_offer(name, planned(file, name), header, raw, need, speed))
    seconds = estimate_seconds(header, estimate_chunks(), speed) if speed else 0.0
    return Offers(request.source, tuple(offers), between_bytes, seconds)


def _offer(
    name: str, plan: Planned, header: GgufHeader, raw: RawHeader, need: MemoryNeed, speed: MachineSpeed | None
) -> Offer:
    weights = sum(plan.read_bytes.values())
    own = MemoryNeed(weights, need.kv_bytes, need.compute_bytes, need.engine_bytes)
    ms = predicted_ms(_reads(plan, header, raw), 0, speed) if speed else None
    return Offer(name, raw.data_start + plan.data_bytes, own, ms)


def _reads(plan: Planned, header: GgufHeader, raw: RawHeader) -> ReadProfile:
    """The bytes that a token would read, by type: the source's own reading, each tensor in its new type."""
    tied = "output.weight" not in plan.types
    total: dict[str, float] = {}
    whole = 0
    for tensor in raw.tensors:
        if tensor.name == "token_embd.weight" and not tied:
            continue
        kind = plan.types.get(tensor.name, tensor.type.name)
        size = plan.bytes_of(tensor.elements, kind)
        total[kind] = total.get(kind, 0.0) + size
        whole += tensor.size_bytes
    # A mixture of experts reads a part of its tensors; the header knows which.
    share = min(1.0, sum(header.read_bytes.values()) / max(whole, 1))
    return ReadProfile(tuple(TypeBytes(kind, int(size * share)) for kind, size in sorted(total.items())), header.layers)
