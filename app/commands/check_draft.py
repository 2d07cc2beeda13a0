"""`bantam check-draft TARGET DRAFT`: answer with and without the draft and compare, token by token."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.commands.console import (
    StderrReport,
    add_load_options,
    as_dict,
    load_request,
    number,
    print_json,
    refuse,
    whole,
)
from app.commands.isolation import isolated
from app.engine.messages import CheckDraft, Difference, DraftCheck, Sampling, TooLarge
from app.errors import AppError
from app.measure.texts import read_text
from app.settings import load_settings
from app.system.paths import default_paths


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("model", type=Path, metavar="TARGET", help="a GGUF file")
    add("draft", type=Path, metavar="DRAFT", help="a smaller one of the same vocabulary")
    add("--prompt-lookup", action="store_true", help="check drafting from the text so far too")
    add("--prompts", type=Path, metavar="FILE", help="questions, one a line (default: 20 bundled ones)")
    add("--new-tokens", type=whole(2, 1_048_576), default=64, metavar="N", help="of each answer (default: 64)")
    add("--temperature", type=number(0, 100), default=0.0, metavar="N", help="above 0, seeds are fixed (default: 0)")
    add_load_options(parser)
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    from app.engine.draft_trial import check_draft
    from app.engine.session import Session
    from app.operation import StopFlag

    prompts: tuple[str, ...] = ()
    if parsed.prompts is not None:
        prompts = tuple(line for line in read_text(parsed.prompts).content.splitlines() if line.strip())
    paths = default_paths().ensure()
    report, stop = StderrReport(), StopFlag()
    session = Session.load(load_request(parsed, load_settings(paths.settings)), paths, report, stop)
    if isinstance(session, TooLarge):
        raise refuse(session)
    try:
        if session.loaded.draft_problem:
            raise AppError(session.loaded.draft_problem)
        request = CheckDraft(prompts, Sampling(temperature=parsed.temperature), parsed.new_tokens)
        result = check_draft(session, request, report, stop)
    finally:
        session.close()
    report.end()
    if parsed.json:
        print_json(as_dict(result) | {"is_sound": result.is_sound})
    else:
        print(_text(result))
    return 0 if result.is_sound else 1


def _text(result: DraftCheck) -> str:
    same = result.prompts - len(result.differences)
    lines = [
        f"Identical in {same:,} of {result.prompts:,} answers "
        f"({result.tokens:,} tokens, {result.accepted_tokens:,} of them from the draft)."
    ]
    lines += [_line(difference) for difference in result.differences]
    if not result.accepted_tokens:
        lines.append("No token came from the draft: nothing was checked.")
    return "\n".join(lines)


def _line(difference: Difference) -> str:
    why = "rounding" if difference.is_rounding else "NOT rounding: a fault"
    return (
        f"  “{difference.prompt[:60]}”, token {difference.position + 1}: {difference.plain!r} became "
        f"{difference.speculative!r} at a margin of {difference.margin:.1e}: {why}"
    )
