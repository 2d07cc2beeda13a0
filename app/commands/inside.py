"""`bantam inside MODEL [TENSOR]`: a model's tensors, one of them from all sides, or types suggested for all of them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.commands.console import StderrReport, as_dict, number, whole
from app.commands.isolation import isolated
from app.errors import AppError
from app.inspect.messages import Inside, LookAtTensor, LookInside, MethodError, SuggestTypes, TensorLook, TypesSuggested
from app.operation import Context
from app.system.paths import default_paths
from app.units import size_text

_HISTOGRAM_LINES = 15
_BAR_WIDTH = 48


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a GGUF file or a Hugging Face folder")
    add("tensor", nargs="?", metavar="TENSOR", help="its name, as the list has it; without one: the list")
    add("--importance", type=Path, metavar="FILE", help="an importance matrix, to see which inputs are outliers")
    add("--inputs", action="store_true", help="read some text with the model, and look at what flows into the tensor")
    add("--suggest", action="store_true", help="measure which tensors mind four bits, and suggest types for them")
    add("--type", default="Q4_K_M", metavar="TYPE", help="the mixture that suggested types compete with")
    add("--extra", type=number(0, 100), default=0.0, metavar="PERCENT", help="it may be exceeded in size by so much")
    add("--text", type=Path, metavar="FILE", help="what --suggest reads (default: the bundled text)")
    add("--windows", type=whole(1, 10_000), default=8, metavar="N", help="of 256 tokens, read for each group")
    add("--threads", type=whole(0, 1024), default=0, metavar="N", help="default: all physical cores")
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    if parsed.suggest and parsed.tensor:
        raise AppError("--suggest is about the whole model, and a tensor was named.", "Leave one of them out.")
    report = StderrReport()
    try:
        result = _result(parsed, report)
    finally:
        report.end()
    if parsed.json:
        json.dump(_plain(as_dict(result)), sys.stdout, ensure_ascii=False)
        print(flush=True)
    else:
        print("\n".join(_lines(result)))
    return 0


def _result(parsed: argparse.Namespace, report: StderrReport) -> Inside | TensorLook | TypesSuggested:
    from app.inspect.inspection import look_at_tensor, look_inside
    from app.operation import StopFlag

    model, stop = parsed.model.expanduser().resolve(), StopFlag()
    if parsed.suggest:
        from app.inspect.suggesting import suggest_types

        text = parsed.text.expanduser().resolve() if parsed.text else None
        request = SuggestTypes(
            model, parsed.type.upper(), parsed.extra / 100, text, windows=parsed.windows, threads=parsed.threads
        )
        return suggest_types(request, Context(paths=default_paths().ensure(), report=report, stop=stop))
    if parsed.tensor is None:
        return look_inside(LookInside(model), Context())
    return look_at_tensor(
        LookAtTensor(model, parsed.tensor, parsed.importance, parsed.inputs), Context(report=report, stop=stop)
    )


def _plain(value: Any) -> Any:
    """The values for JSON, with six significant digits, because an error of 0.0001 is a figure too."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return str(value) if isinstance(value, Path) else value


def _lines(result: Inside | TensorLook | TypesSuggested) -> list[str]:
    if isinstance(result, Inside):
        return _list_lines(result)
    return _tensor_lines(result) if isinstance(result, TensorLook) else _suggestion_lines(result)


def _list_lines(inside: Inside) -> list[str]:
    rows = [
        (tensor.name, " × ".join(map(str, tensor.shape)), tensor.type, size_text(tensor.size_bytes))
        for tensor in inside.tensors
    ]
    total = sum(tensor.size_bytes for tensor in inside.tensors)
    return [*_table(rows), f"{len(rows):,} tensors, {size_text(total)}"]


def _tensor_lines(look: TensorLook) -> list[str]:
    tensor, found = look.tensor, look.histogram
    shape = " × ".join(map(str, tensor.shape))
    lines = [
        f"{tensor.name}: {shape}, {tensor.type}, {size_text(tensor.size_bytes)}",
        f"mean {found.mean:.3g}, deviation {found.deviation:.3g}, largest {found.largest:.3g}, "
        f"excess kurtosis {found.excess_kurtosis:.2f}",
        *look.notes,
        "",
        *_histogram_lines(look),
    ]
    for picture in look.pictures:
        named = ", ".join(f"{channel.number} ({channel.times:.1f} ×)" for channel in picture.outliers)
        lines.append(
            f"Input channels by {picture.measure}: {picture.found:,} of {picture.channels:,} stand out "
            f"({picture.threshold:g} × the median)" + (f": {named}" if named else "")
        )
    return lines + (["", *_table([_HEADER, *map(_error_row, look.errors)])] if look.errors else [])


_HEADER = ("Stored as", "bits", "RMSE", "S/N", "")


def _histogram_lines(look: TensorLook) -> list[str]:
    found = look.histogram
    step = -(-len(found.counts) // _HISTOGRAM_LINES)
    sums = [sum(found.counts[at : at + step]) for at in range(0, len(found.counts), step)]
    width = (found.high - found.low) / len(found.counts) * step
    bars = [
        f"{found.low + at * width:>10.3g} {'█' * round(count / max(1, *sums) * _BAR_WIDTH)}"
        for at, count in enumerate(sums)
    ]
    return [*bars, f"outside: {found.below:,} below, {found.above:,} above", ""]


def _error_row(error: MethodError) -> tuple[str, ...]:
    if error.problem:
        return (error.name, f"{error.bits:.2f}", "", "", error.problem)
    noise = "exact" if error.exact else f"{error.signal_to_noise:.1f} dB"
    return (error.name, f"{error.bits:.2f}", f"{error.rmse:.3g}", noise, error.words)


def _suggestion_lines(found: TypesSuggested) -> list[str]:
    rows = [("Group", "KL in 4 bits", "usual", "suggested")]
    rows += [(cost.name, f"{cost.kl:.5f}", cost.usual_type, cost.type) for cost in found.groups]
    given = " ".join(f"--tensor '{override.pattern}={override.type}'" for override in found.overrides)
    return [*_table(rows), "", found.sentence, f"For bantam quantize {found.type}: {given}"]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
