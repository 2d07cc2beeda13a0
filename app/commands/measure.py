"""`bantam measure MODEL`: perplexity, and against a reference KL divergence and top-1 agreement; kept in the ledger."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from app.commands.console import StderrReport, whole
from app.commands.isolation import isolated
from app.engine.messages import BenchResult
from app.measure.ledger import record
from app.measure.messages import Estimate, MeasureQuality, Quality
from app.measure.speed import ends_with_parent
from app.operation import Context
from app.system.paths import default_paths
from app.units import percent, size_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a GGUF file")
    add("--reference", type=Path, metavar="FILE", help="what it was made from: a GGUF file or a folder")
    add("--text", type=Path, metavar="FILE", help="plain text to measure on (default: the bundled one)")
    add("--context", type=whole(16, 1_048_576), default=512, metavar="N", help="tokens of a window (default: 512)")
    windows = "windows to read, spread over the text (0, the default: as many as take under two minutes for 1 B)"
    add("--chunks", type=whole(0, 1_000_000), default=0, metavar="N", help=windows)
    add("--threads", type=whole(0, 1024), default=0, metavar="N", help="0, the default: one for each core")
    add("--speed", action="store_true", help="measure speed, time to first token and memory too")
    add("--only-speed", action="store_true", help="measure nothing but speed, time to first token and memory")
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    from app.operation import StopFlag

    report, stop, paths = StderrReport(), StopFlag(), default_paths().ensure()
    result: Quality | BenchResult
    try:
        if parsed.only_speed:
            from app.measure.speed import measure_speed_here

            result = measure_speed_here(_resolved(parsed.model), parsed.threads, paths, report, stop)
        else:
            from app.measure.quality import measure_quality

            result = measure_quality(_request(parsed), Context(paths=paths, report=report, stop=stop))
    finally:
        report.end()
    if parsed.json:
        json.dump(_plain(dataclasses.asdict(result)), sys.stdout, ensure_ascii=False)
        print(flush=True)
    else:
        print(_table(_rows(result) if isinstance(result, Quality) else _speed_rows(result)))
    if not ends_with_parent():  # then it is part of a measurement, which is recorded as a whole
        record(paths.ledger, result)
    return 0


def _request(parsed: argparse.Namespace) -> MeasureQuality:
    return MeasureQuality(
        model=_resolved(parsed.model),
        reference=_resolved(parsed.reference) if parsed.reference else None,
        text=_resolved(parsed.text) if parsed.text else None,
        context_tokens=parsed.context,
        chunks=parsed.chunks,
        threads=parsed.threads,
        speed=parsed.speed,
    )


def _resolved(path: Path) -> Path:
    return path.expanduser().resolve()


def _plain(value: Any) -> Any:
    """The values for JSON, with six significant digits, because a divergence of 0.0001 is a figure too."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return str(value) if isinstance(value, Path) else value


def _rows(result: Quality) -> list[tuple[str, str]]:
    rows = [
        ("Model", result.path.name),
        ("Text", f"{result.text}, {result.scored_tokens:,} tokens scored in windows of {result.context_tokens:,}"),
        ("Perplexity", _estimate(result.perplexity)),
    ]
    if result.reference and result.reference_perplexity and result.kl_mean and result.top_1:
        rows += [
            ("Reference", f"{result.reference.name}, perplexity {_estimate(result.reference_perplexity)}"),
            ("KL divergence", f"{_estimate(result.kl_mean)} (99 % of the tokens: at most {result.kl_99:.4g})"),
            ("Same first choice", f"{percent(result.top_1.value, 2)} ± {percent(result.top_1.error, 2)} of the tokens"),
        ]
    return rows + (_speed_rows(result.speed) if result.speed else [])


def _speed_rows(speed: BenchResult) -> list[tuple[str, str]]:
    return [
        ("A token takes", f"{speed.ms_per_token_median:,.1f} ms"),
        ("First token after", f"{speed.time_to_first_token_ms:,.0f} ms of {speed.prompt_tokens:,} tokens"),
        ("Peak memory", size_text(speed.peak_resident_bytes)),
    ]


def _table(rows: list[tuple[str, str]]) -> str:
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def _estimate(estimate: Estimate) -> str:
    return f"{estimate.value:.4g} ± {estimate.error:.2g}"
