"""`bantam importance MODEL`: collect an importance matrix, in the format that llama-quantize reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.commands.console import StderrReport, as_dict, print_json, whole
from app.commands.isolation import isolated
from app.operation import Context
from app.quantize.messages import CollectImportance
from app.system.paths import default_paths


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a GGUF file, best f16, bf16 or Q8_0")
    add = parser.add_argument
    add("--text", type=Path, metavar="FILE", help="what to read, in UTF-8 (default: the bundled text)")
    add("--output", type=Path, metavar="FILE", help="default: MODEL with .imatrix.gguf at its end")
    add("--chunks", type=whole(1, 1_000_000), default=0, metavar="N", help="read at most N windows (default: all)")
    add("--context", type=whole(32, 1_048_576), default=512, metavar="N", help="tokens of a window (default: 512)")
    add("--threads", type=whole(0, 1024), default=0, metavar="N", help="0, the default: as measured on this computer")
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    from app.operation import StopFlag
    from app.quantize.importance import collect_importance

    default_paths().ensure()
    model = parsed.model.expanduser().resolve()
    request = CollectImportance(
        model=model,
        output=(parsed.output or model.with_name(model.stem + ".imatrix.gguf")).expanduser().resolve(),
        text=parsed.text.expanduser().resolve() if parsed.text else None,
        context_tokens=parsed.context,
        chunks=parsed.chunks,
        threads=parsed.threads,
    )
    report = StderrReport()
    result = collect_importance(request, Context(report=report, stop=StopFlag()))
    report.end()
    if parsed.json:
        print_json(as_dict(result))
    else:
        print(f"{result.path}: {result.entries} matrices, from {result.tokens:,} tokens")
    return 0
