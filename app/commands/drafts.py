"""`bantam drafts MODEL`: which models can draft for this one, and why the others cannot."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.commands.console import as_dict, print_json
from app.fit.drafts import ASSUMED_ACCEPTANCE, DraftCandidate, draft_candidates
from app.library.gguf_file import read_header
from app.library.library import ModelEntry, ModelSource, scan
from app.paths import default_paths
from app.settings import load_settings
from app.units import size_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    paths = default_paths().ensure()
    settings = load_settings(paths.settings)
    path = parsed.model.expanduser().resolve()
    header = read_header(path)
    target = ModelEntry(path, path.stem, header.file_bytes, header, "", ModelSource.SINGLE_FILE)
    candidates = draft_candidates(target, scan(paths, settings), settings.context_tokens, settings.kv_type)
    candidates = tuple(one for one in candidates if one.path != path)
    if parsed.json:
        print_json({"drafts": [as_dict(one) for one in candidates]})
    else:
        print(_text(candidates))
    return 0


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
