"""`bantam drafts MODEL`: which models can draft for this one, and why the others cannot."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.console import as_dict, print_json
from app.errors import OfflineError
from app.fit.drafts import ASSUMED_ACCEPTANCE, DraftCandidate, draft_candidates
from app.library.gguf_file import read_header
from app.library.library import ModelEntry, ModelSource, scan
from app.library.manifest import origin_of
from app.settings import Settings, load_settings
from app.system.paths import Paths, default_paths
from app.units import size_text

if TYPE_CHECKING:
    from app.fit.draft_suggestions import DraftSuggestion


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--hub", action="store_true", help="suggest smaller models of its family on the hub too")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    paths = default_paths().ensure()
    settings = load_settings(paths.settings)
    path = parsed.model.expanduser().resolve()
    header = read_header(path)
    origin = origin_of(path)
    target = ModelEntry(path, path.stem, header.file_bytes, header, "", ModelSource.SINGLE_FILE, origin=origin)
    candidates = draft_candidates(target, scan(paths, settings), settings.context_tokens, settings.kv_type)
    candidates = tuple(one for one in candidates if one.path != path)
    suggestions = _suggestions(target, paths, settings) if parsed.hub else None
    if parsed.json:
        plain = {"drafts": [as_dict(one) for one in candidates]}
        print_json(plain if suggestions is None else plain | {"suggestions": [as_dict(one) for one in suggestions]})
    else:
        print(_text(candidates))
        if suggestions is not None:
            print(_suggestions_text(suggestions))
    return 0


def _suggestions(target: ModelEntry, paths: Paths, settings: Settings) -> tuple[DraftSuggestion, ...] | None:
    """None where the hub cannot be reached, which is said: what is here counts all the same."""
    from app.commands.console import hub_of
    from app.fit.draft_suggestions import draft_suggestions

    try:
        return draft_suggestions(hub_of(settings), target, paths.headers)
    except OfflineError as error:
        print(f"The hub could not be asked: {error.sentence}", file=sys.stderr)
        return None


def _suggestions_text(suggestions: tuple[DraftSuggestion, ...]) -> str:
    if not suggestions:
        return "On the hub: no smaller model of its family was found."
    return "\n".join(["On the hub:", *(f"  {_suggestion_line(one)}" for one in suggestions)])


def _suggestion_line(one: DraftSuggestion) -> str:
    if one.problem:
        return f"{one.repository} {one.label}: cannot draft: {one.problem}"
    get = f"“bantam get {one.repository} {one.label}”"
    return f"{one.repository} {one.label}: can draft, {size_text(one.size_bytes)}: {get}"


def _text(candidates: tuple[DraftCandidate, ...]) -> str:
    if not candidates:
        return "There is no other model here."
    lines = [_line(one) for one in candidates]
    if not candidates[0].problem:
        share = f"{ASSUMED_ACCEPTANCE * 10:.0f} of 10"
        lines.append(f"The gain is a prediction: when {share} guesses are right. “bantam check-draft” tries it.")
    return "\n".join(lines)


def _line(one: DraftCandidate) -> str:
    if one.problem:
        return f"{one.name}: cannot draft: {one.problem}"
    return f"{one.name}: about {one.predicted_speed_up:.1f} × as fast, about {size_text(one.memory_bytes)} more memory"
