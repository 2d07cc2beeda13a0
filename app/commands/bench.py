"""`bantam bench MODEL`: prefill, decode, time to first token and peak memory, measured through the code a chat uses."""

from __future__ import annotations

import argparse

from app.commands.console import StderrReport, add_load_arguments, as_dict, load_request, print_json, refuse, whole
from app.commands.isolation import isolated
from app.engine.messages import Bench, BenchResult, TooLarge
from app.operation import Context
from app.settings import load_settings
from app.system.paths import default_paths
from app.units import size_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_load_arguments(parser)
    add = parser.add_argument
    add("--prompt-tokens", type=whole(1, 1_048_576), default=512, metavar="N", help="to read, about (default: 512)")
    add("--new-tokens", type=whole(2, 1_048_576), default=128, metavar="N", help="to answer (default: 128)")
    repetitions = "how often; the medians are reported (default: 3)"
    add("--repetitions", type=whole(1, 1000), default=3, metavar="N", help=repetitions)
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    from app.engine.bench import bench
    from app.operation import StopFlag

    paths = default_paths().ensure()
    request = Bench(
        load_request(parsed, load_settings(paths.settings)),
        prompt_tokens=parsed.prompt_tokens,
        new_tokens=parsed.new_tokens,
        repetitions=parsed.repetitions,
    )
    report = StderrReport()
    result = bench(request, Context(paths=paths, report=report, stop=StopFlag()))
    report.end()
    if isinstance(result, TooLarge):
        raise refuse(result)
    if parsed.json:
        print_json(as_dict(result))
    else:
        print(_table(result))
    return 0


def _table(result: BenchResult) -> str:
    need = result.need
    rows = [
        ("Model", result.path.name + (" (safe mode)" if result.safe_mode else "")),
        ("Context", f"{result.context_tokens:,} tokens"),
        ("Threads", f"{result.threads.decode} to answer, {result.threads.prefill} to read"),
        ("Load", f"{result.load_ms:,.0f} ms"),
        ("Reading (prefill)", f"{result.prefill_tokens_per_second:,.1f} tokens/s over {result.prompt_tokens:,} tokens"),
        ("First token after", f"{result.time_to_first_token_ms:,.0f} ms"),
        ("Answering (decode)", f"{result.decode_tokens_per_second:,.1f} tokens/s over {result.new_tokens:,} tokens"),
        ("A token takes", f"{result.ms_per_token_median:,.1f} ms (median; 95 % within {result.ms_per_token_p95:,.1f})"),
        ("Weights", size_text(need.weights_bytes)),
        ("KV cache", size_text(need.kv_bytes)),
        ("Working buffers", size_text(need.compute_bytes)),
        ("Peak memory", size_text(result.peak_resident_bytes)),
    ]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)
