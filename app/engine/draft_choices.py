"""Which draft was chosen for each model, and what each was measured to gain: drafts.json. A damaged file is none."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.system.files import read_object, write_atomic


@dataclass(frozen=True, slots=True)
class DraftChoice:
    """For one model: the path of the draft ("" for none), and how many times faster each was that has been tried."""

    draft: str = ""
    ratios: dict[str, float] = field(default_factory=dict)


def read_choice(book: Path, model: Path) -> DraftChoice:
    """What is known for the model at this path."""
    return _read(book).get(str(model), DraftChoice())


def choose_draft(book: Path, model: Path, draft: Path | None) -> None:
    """Remember the choice. One that cannot be written is lost silently: it is made again in two clicks."""
    choice = read_choice(book, model)
    _write(book, model, dataclasses.replace(choice, draft=str(draft) if draft else ""))


def remember_ratio(book: Path, model: Path, draft: Path, ratio: float) -> None:
    """Remember what a draft gains; above 1 it is faster."""
    choice = read_choice(book, model)
    _write(book, model, dataclasses.replace(choice, ratios={**choice.ratios, str(draft): ratio}))


def _write(book: Path, model: Path, choice: DraftChoice) -> None:
    choices = {name: dataclasses.asdict(one) for name, one in (_read(book) | {str(model): choice}).items()}
    with contextlib.suppress(OSError):
        write_atomic(book, json.dumps(choices, indent=2).encode())


def _read(book: Path) -> dict[str, DraftChoice]:
    return {str(name): _build(value) for name, value in read_object(book).items() if isinstance(value, dict)}


def _build(value: dict[str, Any]) -> DraftChoice:
    draft, ratios = value.get("draft"), value.get("ratios")
    usable = ratios.items() if isinstance(ratios, dict) else ()
    return DraftChoice(
        draft if isinstance(draft, str) and "\0" not in draft else "",
        {str(name): float(ratio) for name, ratio in usable if _is_ratio(ratio)},
    )


def _is_ratio(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
