"""`bantam fit REPO_OR_FILE`: what a model takes and how fast it will be, before its first byte is downloaded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.console import StderrReport, as_dict, print_json, whole
from app.commands.isolation import isolated
from app.engine.messages import LEAST_CONTEXT_TOKENS, KvType, MeasureFit, MeasureMachine
from app.errors import AppError, ConversionError
from app.fit.judgement import Judgement, MemoryBudget
from app.fit.verdict import Choice, arithmetic, best, choice_of, sentence
from app.operation import Context
from app.quantize.messages import PlanConversion
from app.settings import Settings, load_settings
from app.system.paths import Paths, default_paths
from app.units import size_text

if TYPE_CHECKING:
    from app.hub.repository import RemoteModel, Repository
    from app.hub.transport import Hub


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("model", metavar="REPO_OR_FILE", help="a repository of the hub (owner/name), or a GGUF file")
    add("file", nargs="?", help="one model of the repository, as “Q4_K_M”; all of them when left out")
    context = whole(LEAST_CONTEXT_TOKENS, 1_048_576)
    add("--context", type=context, metavar="N", help="in tokens (default: as in the window's settings)")
    add("--kv-type", choices=[kind.value for kind in KvType], help="of the KV cache (default: as in the settings)")
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    from app.fit.verdict import memory_budget

    paths = default_paths().ensure()
    settings = load_settings(paths.settings)
    context = settings.context_tokens if parsed.context is None else parsed.context
    kv_type = KvType(parsed.kv_type or settings.kv_type)
    labels, judgements = _judge(parsed, paths, settings, context, kv_type)
    speed = _speed(paths)
    budget = memory_budget()
    choices = [
        choice_of(one, label, size, context, kv_type, budget, speed)
        for (label, size), one in zip(labels, judgements, strict=True)
    ]
    take = best(choices, settings.target_ms_per_token) if len(choices) > 1 else None
    if parsed.json:
        print_json(_plain(choices, judgements, budget, take, settings))
    else:
        print("\n".join(_lines(choices, judgements, budget, take, settings)))
    return 0


def _judge(
    parsed: argparse.Namespace, paths: Paths, settings: Settings, context: int, kv_type: KvType
) -> tuple[list[tuple[str, int]], list[Judgement]]:
    """(label, size) and judgement of the file, or of each model of the repository."""
    path = Path(parsed.model).expanduser()
    if path.exists() or (path.suffix.lower() == ".gguf" and parsed.model.count("/") != 1):
        return _judge_file(path, context, kv_type)
    return _judge_repository(parsed, paths, settings, context, kv_type)


def _judge_file(path: Path, context: int, kv_type: KvType) -> tuple[list[tuple[str, int]], list[Judgement]]:
    from app.engine.memory import measure_fit
    from app.fit.judgement import judgement_of
    from app.library.gguf_file import read_header

    header = read_header(path)
    curve = measure_fit(MeasureFit(path, _points(context), (kv_type,)), Context())
    return [(path.name, header.file_bytes)], [judgement_of(str(path), header, curve)]


def _judge_repository(
    parsed: argparse.Namespace, paths: Paths, settings: Settings, context: int, kv_type: KvType
) -> tuple[list[tuple[str, int]], list[Judgement]]:
    from app.commands.console import find_repository, hub_of, pick_model
    from app.engine.memory import measure_fit
    from app.fit.judgement import derived, judgement_of, relatives, to_be_read
    from app.hub.remote import fetch_stub
    from app.hub.repository import ModelFormat

    hub = hub_of(settings)
    repository = find_repository(hub, parsed.model)
    wanted = (pick_model(repository, parsed.file),) if parsed.file else to_be_read(repository)
    found: list[tuple[tuple[str, int], Judgement]] = []
    for model in wanted:
        if model.format is ModelFormat.SAFETENSORS:
            found += _judge_original(hub, repository, model, paths, _points(context), kv_type)
            continue
        stub = fetch_stub(hub, repository, model, paths.headers)
        curve = measure_fit(MeasureFit(stub.path, _points(context), (kv_type,)), Context())
        judgement = judgement_of(model.key, stub.header, curve)
        found.append(((model.label, model.size_bytes), judgement))
        others = () if parsed.file else relatives(model, repository.models)
        found += [((other.label, other.size_bytes), derived(judgement, model, other)) for other in others]
    return [label for label, _ in found], [judgement for _, judgement in found]


def _judge_original(
    hub: Hub, repository: Repository, model: RemoteModel, paths: Paths, points: tuple[int, ...], kv_type: KvType
) -> list[tuple[tuple[str, int], Judgement]]:
    """What would be made of original weights, from their headers; one refusal where they cannot be converted."""
    from app.fit.judgement import MADE_TYPES, refusal
    from app.hub.original import fetch_sparse_folder
    from app.quantize.preview import plan_conversion

    sparse = fetch_sparse_folder(hub, repository, model, paths.headers)
    try:
        plan = plan_conversion(PlanConversion(sparse.path, MADE_TYPES, points, (kv_type,)), Context())
    except ConversionError as error:
        return [((model.label, model.size_bytes), refusal(model.key, f"{error.sentence} {error.hint}".strip()))]
    judgements = plan.judgements(model.key)
    sizes = [(f"{file.type} (made here)", file.size_bytes) for file in plan.files]
    return list(zip(sizes, judgements, strict=True))


def _points(context: int) -> tuple[int, ...]:
    from app.fit.judgement import CONTEXTS

    return tuple(sorted({context, *CONTEXTS}))


def _speed(paths: Paths) -> Any:
    """What was measured here; measured now where it never was."""
    from app.engine.machine_speed import measure_machine
    from app.fit.speed import change_speed_book, read_speed_book

    book = read_speed_book(paths.speed)
    if book.speed is None:
        report = StderrReport()
        try:
            speed = measure_machine(MeasureMachine(), Context(paths=paths, report=report))
            book = book.with_speed(speed)
            change_speed_book(paths.speed, lambda known: known.with_speed(speed))
        except AppError as error:
            report.end()
            report(_notice(error))
        report.end()
    return book.speed


def _notice(error: AppError) -> Any:
    from app.operation import Notice

    return Notice(f"{error.sentence} There is no speed below.")


def _lines(
    choices: list[Choice], judgements: list[Judgement], budget: MemoryBudget, take: Choice | None, settings: Settings
) -> list[str]:
    target = settings.target_ms_per_token
    lines = [f"{'→' if choice is take else ' '} {sentence(choice, budget, target)}" for choice in choices]
    if len(choices) == 1 and (verdict := choices[0].verdict) is not None:
        width = max(len(what) for what, _ in arithmetic(verdict, budget))
        lines += [f"    {what:<{width}}  {size_text(size):>9}" for what, size in arithmetic(verdict, budget)]
        lines.append(f"  The longest context that fits now: {verdict.largest_context_now:,} tokens.")
    if take is not None:
        lines.append(f"Take {take.label} on this computer.")
    return lines


def _plain(
    choices: list[Choice], judgements: list[Judgement], budget: MemoryBudget, take: Choice | None, settings: Settings
) -> dict[str, Any]:
    target = settings.target_ms_per_token
    models = [
        {
            "label": choice.label,
            "file": judgement.key,
            "size_bytes": choice.size_bytes,
            "verdict": choice.verdict and as_dict(choice.verdict),
            "resident_bytes": choice.verdict and choice.verdict.need.resident_bytes,
            "ms_per_token": choice.ms_per_token,
            "problem": choice.problem,
            "refused": choice.refused,
            "derived_from": judgement.derived_from,
            "sentence": sentence(choice, budget, target),
        }
        for choice, judgement in zip(choices, judgements, strict=True)
    ]
    return {"models": models, "take": take.label if take else "", "budget": as_dict(budget)}
