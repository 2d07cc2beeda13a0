"""`bantam prune SOURCE --method M --amount SHARE`: a pruned copy of a Hugging Face folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app.commands.console import StderrReport, as_dict, number, print_json, whole
from app.commands.isolation import finishing_in_order, isolated
from app.errors import Cancelled
from app.operation import Context
from app.prune.messages import SPARSE, LayerImportance, Prune, Pruned, PruneMethod
from app.recipe.words import rounding_words, shape_of
from app.system.frozen import require_torch
from app.units import percent, size_text

_DEFAULT = Prune(Path(), Path(), PruneMethod.FFN, 0.25)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("source", type=Path, metavar="SOURCE", help="a Hugging Face folder")
    add("--method", required=True, choices=[method.value for method in PruneMethod], help="what is taken away")
    add("--amount", required=True, type=number(0, 1), metavar="SHARE", help="how much of it: 0.25 is a quarter")
    add("--output", type=Path, metavar="FOLDER", help="where to (default: beside the source)")
    add("--pattern", default="", metavar="N:M", help="so many zeros among so many neighbours: 2:4 or 4:8")
    add("--no-refit", action="store_true", help="leave the remaining weights as they are (ffn and kv-groups)")
    add("--refit-gate-up", action="store_true", help="fit the gate and up projections too: nearer, slower (ffn)")
    add("--width-multiple", type=whole(32, 65536), default=_DEFAULT.width_multiple, metavar="N", help="of FFN widths")
    add("--per-layer", action="store_true", help="other widths in each layer, by importance")
    kinds = [kind.value for kind in LayerImportance]
    add("--importance", choices=kinds, default=_DEFAULT.importance.value, help="how the layers to drop are found")
    add("--layers", type=_numbers, default=(), metavar="N,N", help="which layers to drop (default: by importance)")
    add("--rewind", type=Path, metavar="FOLDER", help="take the surviving weights from the model early in its training")
    add("--text", type=Path, metavar="FILE", help="what is read to see what matters (default: the bundled text)")
    add("--context", type=whole(32, 1 << 20), default=_DEFAULT.context_tokens, metavar="N", help="tokens of a window")
    add("--chunks", type=whole(0, 1 << 20), default=_DEFAULT.chunks, metavar="N", help="windows of text; 0: all of it")
    add("--threads", type=whole(1, 1024), default=0, metavar="N", help="default: all physical cores")
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    require_torch()
    from app.prune.prune import prune

    report, request = StderrReport(), _request(parsed)
    try:
        with finishing_in_order() as stop:
            result = prune(request, Context(report=report, stop=stop))
    except (Cancelled, KeyboardInterrupt):
        report.end()
        print("Stopped. Run it again to go on.", file=sys.stderr)
        return 130
    finally:
        report.end()
    if parsed.json:
        print_json(as_dict(result))
    else:
        print(_sentence(result, request))
    return 0


def _request(parsed: argparse.Namespace) -> Prune:
    source = parsed.source.expanduser()
    name = f"{source.resolve().name}-{parsed.method}-{parsed.pattern.replace(':', 'of') or f'{parsed.amount:g}'}"
    return Prune(
        source=source,
        output=parsed.output.expanduser() if parsed.output else source.resolve().parent / name,
        method=PruneMethod(parsed.method),
        amount=parsed.amount,
        pattern=parsed.pattern,
        refit=not parsed.no_refit,
        refit_gate_up=parsed.refit_gate_up,
        width_multiple=parsed.width_multiple,
        per_layer=parsed.per_layer,
        importance=LayerImportance(parsed.importance),
        layers=parsed.layers,
        rewind=parsed.rewind.expanduser() if parsed.rewind else None,
        text=parsed.text.expanduser() if parsed.text else None,
        context_tokens=parsed.context,
        chunks=parsed.chunks,
        threads=parsed.threads,
    )


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"“{text}” is not a list of numbers like 3,4") from None


def _sentence(result: Pruned, request: Prune) -> str:
    size = f"{result.path} ({result.recipe}; {size_text(result.size_bytes)})"
    if request.method in SPARSE:
        return f"{size}\nZeros make neither the file smaller nor the answers faster; ffn, kv-groups and layers do."
    before, after = result.parameters_before, result.parameters_after
    words = f"{size}\n{before:,} → {after:,} weights ({percent(1 - after / before)} less)"
    if request.layers:  # they were named, and not a share
        return words
    shapes = shape_of(request.source), shape_of(result.path)
    return f"{words}\n{rounding_words(request.method, *shapes, request.amount)}".rstrip()
