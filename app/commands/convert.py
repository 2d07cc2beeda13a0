"""`bantam convert FOLDER`: a Hugging Face folder as one GGUF file."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.commands.console import StderrReport, as_dict, print_json
from app.convert.messages import Convert
from app.operation import Context
from app.units import size_text

TYPES = ("f32", "f16", "bf16", "q8_0")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("folder", metavar="FOLDER", type=Path, help="with config.json, the tokenizer and safetensors")
    add("--type", choices=TYPES, default="bf16", help="of the matrices (default: bf16)")
    add("--output", type=Path, metavar="FILE", help="where to (default: FOLDER/NAME-TYPE.gguf)")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    from app.convert.conversion import convert

    folder = parsed.folder.expanduser()
    output = parsed.output or folder / f"{folder.resolve().name}-{parsed.type.upper()}.gguf"
    report = StderrReport()
    try:
        result = convert(Convert(folder, output.expanduser(), parsed.type), Context(report=report))
    finally:
        report.end()
    if parsed.json:
        print_json(as_dict(result))
    else:
        print(f"{result.path} ({size_text(result.size_bytes)})")
    return 0
