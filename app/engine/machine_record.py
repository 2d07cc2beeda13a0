"""What was measured and learned on this machine, in machine.json: thread counts, safe mode, kernels that ran.

A record made by another processor or another llama.cpp build says nothing about this one and is ignored; so is a
damaged file. A record that cannot be written is lost silently: it costs one measurement, never an answer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.engine.messages import ThreadCounts
from app.system.files import locked, read_json, read_object, write_atomic
from app.system.hardware import cpu_name, instruction_sets, usable_cores

_SIZE_CLASSES = ((100e6, "below 0.1 GB"), (400e6, "0.1 to 0.4 GB"), (1.6e9, "0.4 to 1.6 GB"), (6.4e9, "1.6 to 6.4 GB"))

_MOST_BATCHES = 40
"""Models whose batch costs are kept."""


@dataclass(frozen=True, slots=True)
class MeasuredThreads:
    """Thread counts that were fastest, and the number of usable cores they were measured with."""

    counts: ThreadCounts
    usable_cores: int


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """All that is remembered. `threads` is keyed by size class, `verified` holds quantizations."""

    fingerprint: str
    safe_mode_reason: str = ""
    verified: tuple[str, ...] = ()
    threads: Mapping[str, MeasuredThreads] = field(default_factory=dict)
    batches: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """ms by batch size (as text, for JSON) of each model that was loaded with a draft."""


def machine_fingerprint() -> str:
    """The processor, its instruction sets and the llama.cpp build, without importing llama_cpp."""
    import importlib.metadata  # 70 ms of a window's start, and the window never asks

    try:
        build = importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        build = "none"
    return f"{cpu_name()} | {' '.join(instruction_sets())} | llama-cpp-python {build}"


def size_class(weights_bytes: int) -> str:
    """The class of models that share thread counts: small ones are bound by barriers, large ones by memory."""
    return next((name for limit, name in _SIZE_CLASSES if weights_bytes < limit), "6.4 GB and more")


def read_record(path: Path) -> MachineRecord:
    """What is remembered of this machine; empty where the file is missing, damaged or from another machine."""
    fingerprint = machine_fingerprint()
    try:
        stored = read_json(path)
        return _build(stored) if stored["fingerprint"] == fingerprint else MachineRecord(fingerprint)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return MachineRecord(fingerprint)


def needs_safe_mode(path: Path) -> bool:
    """True once the process died in the first decode here: load without the repacked kernels."""
    return bool(read_record(path).safe_mode_reason)


def remember_safe_mode(path: Path, reason: str) -> None:
    """Load every model on this machine in safe mode from now on. `reason` in words, for the details."""
    _change(path, lambda _record: {"safe_mode_reason": reason or "the process died in the first decode"})


def verified_file_types(path: Path) -> frozenset[str]:
    """Quantizations (as in `ModelLoaded.quantization`) whose first decode with repacked kernels went well here."""
    return frozenset(read_record(path).verified)


def remember_verified(path: Path, quantization: str) -> None:
    """The first decode of this quantization with repacked kernels went well. Writes only what is new."""
    if quantization not in read_record(path).verified:
        _change(path, lambda record: {"verified": tuple(dict.fromkeys((*record.verified, quantization)))})


def thread_counts(path: Path, size_class: str) -> ThreadCounts | None:
    """The counts measured here for models of this size class; None before, or when the usable cores have changed."""
    measured = read_record(path).threads.get(size_class)
    return measured.counts if measured and measured.usable_cores == usable_cores() else None


def remember_thread_counts(path: Path, size_class: str, counts: ThreadCounts) -> None:
    """Keep measured counts for models of this size class, with the number of usable cores."""
    measured = MeasuredThreads(counts, usable_cores())
    _change(path, lambda record: {"threads": {**record.threads, size_class: measured}})


def batch_costs(path: Path, model: str) -> dict[int, float]:
    """ms by batch size, as measured here for `model` (any key that is its own); empty before."""
    return {int(size): ms for size, ms in read_record(path).batches.get(model, {}).items()}


def remember_batch_costs(path: Path, model: str, costs: Mapping[int, float]) -> None:
    """Keep the ms by batch size of a model, and those of the models measured last."""

    def batches(record: MachineRecord) -> dict[str, Any]:
        known = [(name, value) for name, value in record.batches.items() if name != model]
        return {"batches": dict([*known[-_MOST_BATCHES:], (model, {str(size): ms for size, ms in costs.items()})])}

    _change(path, batches)


def _change(path: Path, fields: Callable[[MachineRecord], dict[str, Any]]) -> None:
    """Write the record with other `fields`, made from what is there while nobody else writes it."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            record = read_record(path)
            record = dataclasses.replace(record, **fields(record))
            write_atomic(path, json.dumps(dataclasses.asdict(record), indent=2).encode())


def _build(stored: Any) -> MachineRecord:
    """The record from parsed JSON. Raises KeyError, TypeError, ValueError or AttributeError for another shape."""
    threads = {str(name): _build_threads(value) for name, value in stored["threads"].items()}
    verified = tuple(str(name) for name in stored["verified"])
    batches = {str(name): _build_batches(value) for name, value in stored.get("batches", {}).items()}
    return MachineRecord(str(stored["fingerprint"]), str(stored["safe_mode_reason"]), verified, threads, batches)


def _build_batches(value: Any) -> dict[str, float]:
    costs = {str(int(size)): float(ms) for size, ms in value.items()}
    if "1" not in costs or not all(ms > 0 for ms in costs.values()):
        raise ValueError("batch costs without that of one token, or not above 0")
    return costs


def _build_threads(value: Any) -> MeasuredThreads:
    counts = ThreadCounts(int(value["counts"]["decode"]), int(value["counts"]["prefill"]))
    if counts.decode < 1 or counts.prefill < 1:
        raise ValueError("thread counts below 1")
    return MeasuredThreads(counts, int(value["usable_cores"]))


# Which draft was chosen for each model, and what each was measured to gain: drafts.json. A damaged file is none.


@dataclass(frozen=True, slots=True)
class DraftChoice:
    """The choice for one model: the path of the draft ("" for none), and how many times faster each was that has been
    tried.
    """

    draft: str = ""
    ratios: dict[str, float] = field(default_factory=dict)


def read_choice(book: Path, model: Path) -> DraftChoice:
    """What is known for the model at this path."""
    return _read(book).get(str(model), DraftChoice())


def choose_draft(book: Path, model: Path, draft: Path | None) -> None:
    """Remember the choice. One that cannot be written is lost silently: it is made again in two clicks."""
    _change_choice(book, model, lambda choice: dataclasses.replace(choice, draft=str(draft) if draft else ""))


def remember_ratio(book: Path, model: Path, draft: Path, ratio: float) -> None:
    """Remember what a draft gains; above 1 it is faster."""
    _change_choice(book, model, lambda choice: dataclasses.replace(choice, ratios={**choice.ratios, str(draft): ratio}))


def _change_choice(book: Path, model: Path, change: Callable[[DraftChoice], DraftChoice]) -> None:
    with contextlib.suppress(OSError), locked(book):
        known = _read(book)
        known[str(model)] = change(known.get(str(model), DraftChoice()))
        choices = {name: dataclasses.asdict(one) for name, one in known.items()}
        write_atomic(book, json.dumps(choices, indent=2).encode())


def _read(book: Path) -> dict[str, DraftChoice]:
    return {str(name): _choice_of(value) for name, value in read_object(book).items() if isinstance(value, dict)}


def _choice_of(value: dict[str, Any]) -> DraftChoice:
    draft, ratios = value.get("draft"), value.get("ratios")
    usable = ratios.items() if isinstance(ratios, dict) else ()
    return DraftChoice(
        draft if isinstance(draft, str) and "\0" not in draft else "",
        {str(name): float(ratio) for name, ratio in usable if _is_ratio(ratio)},
    )


def _is_ratio(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
