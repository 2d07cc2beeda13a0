"""`bantam recover MODEL --teacher FOLDER`: train a pruned folder to answer as the model it was cut from does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app.commands.console import StderrReport, as_dict, number, print_json, whole
from app.commands.isolation import finishing_in_order, isolated
from app.errors import Cancelled
from app.operation import Context
from app.recover.messages import (
    SHORT_TOKENS,
    TEACHER_TEXT,
    PlanRecovery,
    Recover,
    Recovered,
    RecoverMethod,
    RecoveryPlanned,
)
from app.system.frozen import require_torch
from app.units import size_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    defaults = Recover(Path(), Path(), Path())
    add("model", metavar="MODEL", type=Path, help="the pruned model, a Hugging Face folder")
    add("--teacher", type=Path, required=True, metavar="FOLDER", help="the model it was cut from")
    add("--output", type=Path, metavar="FOLDER", help="where to (default: MODEL-recovered beside MODEL)")
    methods = [method.value for method in RecoverMethod]
    add("--method", choices=methods, default=defaults.method.value, help="which weights are trained (default: lora)")
    tokens = f"how much to train on (default: {SHORT_TOKENS:,}; over night: 1,000,000)"
    add("--tokens", type=whole(1, 10**10), default=SHORT_TOKENS, metavar="N", help=tokens)
    text = "a text file, “bundled”, or “teacher”: written by the teacher itself (default)"
    add("--text", default=TEACHER_TEXT, metavar="TEXT", help=text)
    add("--temperature", type=number(0.1, 20), default=1.0, metavar="T", help="soften what is learned (default: 1)")
    hard = "share of the plain cross-entropy in the loss, 0 to 1 (default: 0)"
    add("--hard-loss", type=number(0, 1), default=0.0, metavar="SHARE", help=hard)
    add("--progressive", action="store_true", help="short windows first, the whole length at the end")
    add("--for-q4", action="store_true", help="train on Q4_0's grid, so that the Q4_0 file is better")
    add("--rank", type=whole(1, 1024), default=defaults.rank, metavar="N", help="of the adapters (default: 16)")
    add("--learning-rate", type=number(0, 1), default=0.0, metavar="RATE", help="default: what suits the method")
    add("--context", type=whole(16, 32_768), default=defaults.context_tokens, metavar="N", help="tokens of a window")
    add("--seed", type=whole(0, 2**31), default=defaults.seed, metavar="N", help="the same seed gives the same model")
    add("--threads", type=whole(1, 1024), default=0, metavar="N", help="default: all physical cores but one")
    add("--plan", action="store_true", help="say what it would take, and do nothing")
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    require_torch()
    request, report = _request(parsed), StderrReport()
    try:
        with finishing_in_order() as stop:
            context = Context(report=report, stop=stop)
            if parsed.plan:
                from app.recover.recover import plan_recovery

                _print_plan(plan_recovery(PlanRecovery(request), context), as_json=parsed.json)
            else:
                from app.recover.recover import recover

                _print_result(recover(request, context), as_json=parsed.json)
    except (Cancelled, KeyboardInterrupt):
        report.end()
        print("Stopped. Run it again to go on.", file=sys.stderr)
        return 130
    finally:
        report.end()
    return 0


def _request(parsed: argparse.Namespace) -> Recover:
    model = parsed.model.expanduser()
    name = f"{model.resolve().name}-recovered"
    return Recover(
        model=model,
        teacher=parsed.teacher.expanduser(),
        output=parsed.output.expanduser() if parsed.output else model.resolve().with_name(name),
        method=RecoverMethod(parsed.method),
        budget_tokens=parsed.tokens,
        text=parsed.text,
        temperature=parsed.temperature,
        hard_loss=parsed.hard_loss,
        progressive=parsed.progressive,
        quantization_aware="Q4_0" if parsed.for_q4 else "",
        rank=parsed.rank,
        learning_rate=parsed.learning_rate,
        context_tokens=parsed.context,
        seed=parsed.seed,
        threads=parsed.threads,
    )


def _print_plan(plan: RecoveryPlanned, *, as_json: bool) -> None:
    if as_json:
        print_json(as_dict(plan))
        return
    minutes = max(1, round(plan.seconds / 60))
    print(f"About {minutes} min and {size_text(plan.peak_resident_bytes)} of memory.")
    print(f"{plan.trained_parameters:,} parameters are trained.")


def _print_result(result: Recovered, *, as_json: bool) -> None:
    if as_json:
        print_json(as_dict(result))
        return
    print(result.path)
    print(f"divergence from the original  {result.kl_before:.4f} → {result.kl_after:.4f}")
    perplexity = f"{result.perplexity_before:.2f} → {result.perplexity_after:.2f}"
    print(f"perplexity  {perplexity} (the original: {result.perplexity_teacher:.2f})")
    print(
        f"{result.tokens:,} tokens in {result.seconds / 60:.1f} min, {size_text(result.peak_resident_bytes)} of memory"
    )
