"""`bantam make-draft SOURCE --target FILE`: a draft made of the model itself, tried out with it."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.commands.console import StderrReport, as_dict, print_json, whole
from app.commands.isolation import finishing_in_order, isolated
from app.drafts.messages import DraftMade, MakeDraft, default_draft
from app.engine.messages import PAYS_FROM
from app.operation import Context
from app.recover.messages import BUNDLED_TEXT, TEACHER_TEXT, RecoverMethod
from app.system.paths import default_paths
from app.units import percent

_DEFAULT = MakeDraft(Path(), Path(), Path())


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("source", type=Path, metavar="SOURCE", help="the Hugging Face folder of the model")
    add("--target", type=Path, required=True, metavar="FILE", help="the GGUF file of it that the draft is for")
    add("--output", type=Path, metavar="FILE", help="where to (default: into the folder, as NAME-draft-TYPE.gguf)")
    add("--layers", type=whole(1, 1000), default=0, metavar="N", help="how many to keep (default: what promises most)")
    add("--type", default=_DEFAULT.type, metavar="TYPE", help=f"one of llama.cpp's (default: {_DEFAULT.type})")
    budget, methods = whole(1000, 10**9), [method.value for method in RecoverMethod]
    add("--tokens", type=budget, default=_DEFAULT.budget_tokens, metavar="N", help="to learn from (default: 80,000)")
    add("--method", choices=methods, default=_DEFAULT.method.value, help="which weights learn (default: full)")
    texts = f"{TEACHER_TEXT}: the model writes it; {BUNDLED_TEXT}; or a file"
    add("--text", default=_DEFAULT.text, metavar="TEXT", help=f"what is learned from (default: {texts})")
    add("--seed", type=whole(0, 2**31 - 1), default=_DEFAULT.seed, metavar="N", help="of text and training")
    add("--threads", type=whole(1, 1024), default=0, metavar="N", help="default: all physical cores")
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    from app.drafts.make_draft import make_draft

    report = StderrReport()
    with finishing_in_order() as stop:
        result = make_draft(_request(parsed), Context(paths=default_paths().ensure(), report=report, stop=stop))
    report.end()
    if parsed.json:
        print_json(as_dict(result) | {"pays": result.speed_up >= PAYS_FROM})
    else:
        print(_text(result))
    return 0


def _request(parsed: argparse.Namespace) -> MakeDraft:
    source = parsed.source.expanduser().resolve()
    return MakeDraft(
        source=source,
        target=parsed.target.expanduser().resolve(),
        output=(parsed.output or default_draft(source, parsed.type.upper())).expanduser().resolve(),
        layers=parsed.layers,
        type=parsed.type.upper(),
        budget_tokens=parsed.tokens,
        text=parsed.text,
        method=RecoverMethod(parsed.method),
        seed=parsed.seed,
        threads=parsed.threads,
    )


def _text(result: DraftMade) -> str:
    return (
        f"{result.path}\n{result.layers} layers; {percent(result.acceptance)} of the guesses are right; "
        f"{result.speed_up:.2f} times as fast (predicted {result.predicted_speed_up:.2f})."
    )
