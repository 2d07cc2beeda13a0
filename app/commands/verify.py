"""`bantam verify FILE`: whether a model's bytes are those that were downloaded."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.commands.console import StderrReport, as_dict, print_json
from app.library.messages import FileCheck, VerifyModel
from app.library.verify import verify
from app.operation import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, metavar="FILE", help="a GGUF file; of a split model the first part")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    report = StderrReport()
    result = verify(VerifyModel(parsed.model.expanduser().resolve()), Context(report=report))
    report.end()
    if parsed.json:
        print_json(as_dict(result))
    else:
        print(f"{result.check.value.capitalize()}. {result.sentence}")
    return 1 if result.check is FileCheck.DAMAGED else 0
