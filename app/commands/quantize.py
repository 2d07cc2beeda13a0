"""`bantam quantize SOURCE [TYPE …]`: a smaller GGUF of a GGUF, of a Hugging Face folder, or straight from the hub."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from app.commands.console import StderrReport, as_dict, print_json, whole
from app.commands.isolation import isolated
from app.errors import AppError
from app.operation import Context
from app.quantize.messages import Quantize, Quantized, TensorOverride
from app.units import size_text

DEFAULT_TYPE = "Q4_K_M"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("source", metavar="SOURCE", help="a GGUF file, a Hugging Face folder, or a repository of the hub (owner/name)")
    add("type", nargs="*", metavar="TYPE", help=f"one or several of llama.cpp's (default: {DEFAULT_TYPE})")
    add("--output", type=Path, metavar="FILE", help="where to; only for a single type")
    matrix = parser.add_mutually_exclusive_group()
    matrix.add_argument("--importance", type=Path, metavar="FILE", help="an importance matrix, ours or llama-imatrix's")
    matrix.add_argument("--calibrate", action="store_true", help="collect an importance matrix first")
    matrix.add_argument("--best", action="store_true", help="fold outliers and round again: slow, to Q4_0 or Q4_K_M")
    add("--text", type=Path, metavar="FILE", help="what --calibrate and --best read (default: the bundled text)")
    add("--tensor", action="append", default=[], metavar="PATTERN=TYPE", help="another type for tensors of this name")
    add("--output-type", default="", metavar="TYPE", help="of the output matrix")
    add("--embedding-type", default="", metavar="TYPE", help="of the token embedding")
    add("--threads", type=whole(1, 1024), default=0, metavar="N", help="default: all physical cores")
    add("--keep-intermediate", action="store_true", help="keep the 16-bit GGUF of a folder")
    add("--requantize", action="store_true", help="allow a source that is quantized already")
    parser.set_defaults(run=isolated(_run))


def _run(parsed: argparse.Namespace) -> int:
    from app.library.provenance import words_of
    from app.quantize.outputs import step_of
    from app.quantize.quantize import quantize

    requests = _requests(parsed)
    results: list[Quantized] = []
    report = StderrReport()
    for request in requests:
        _leave_nothing(request)
        if not parsed.json:
            print(f"{request.source.name} → {words_of((step_of(request),))}", file=sys.stderr)
        try:
            results.append(quantize(request, Context(report=report)))
        finally:
            report.end()
    if parsed.json:
        print_json({"models": [as_dict(result) for result in results]})
    else:
        for result in results:
            print(f"{result.path} ({size_text(result.source_bytes)} → {size_text(result.size_bytes)})")
    return 0


def _requests(parsed: argparse.Namespace) -> tuple[Quantize, ...]:
    from app.quantize.outputs import default_output, each

    types = tuple(name.upper() for name in parsed.type) or (DEFAULT_TYPE,)
    if parsed.output and len(types) > 1:
        raise AppError("--output names one file, and several types were asked for.", "Leave it out.")
    source = _source(parsed.source)
    request = Quantize(
        source=source,
        output=(parsed.output or default_output(source, types[0], best=parsed.best)).expanduser(),
        type=types[0],
        importance=parsed.importance,
        calibrate=parsed.calibrate,
        overrides=tuple(_override(text) for text in parsed.tensor),
        output_type=parsed.output_type,
        embedding_type=parsed.embedding_type,
        threads=parsed.threads,
        requantize=parsed.requantize,
        keep_intermediate=parsed.keep_intermediate,
        best=parsed.best,
        text=parsed.text,
    )
    return (request,) if parsed.output else each(request, types)


def _source(text: str) -> Path:
    """The file or folder; a repository's safetensors are downloaded first."""
    path = Path(text).expanduser()
    if path.exists() or text.count("/") != 1 or path.suffix.lower() == ".gguf":
        return path
    return _download(text)


def _download(name: str) -> Path:
    from app.commands.console import find_repository, hub_of
    from app.commands.get import download_model
    from app.convert.conversion import check
    from app.hub.original import fetch_sparse_folder
    from app.hub.repository import ModelFormat
    from app.settings import load_settings
    from app.system.paths import default_paths

    paths = default_paths().ensure()
    hub = hub_of(load_settings(paths.settings))
    repository = find_repository(hub, name)
    model = next((model for model in repository.models if model.format is ModelFormat.SAFETENSORS), None)
    if model is None:
        raise AppError(
            f"{repository.id} has no safetensors to quantize.",
            f"“bantam get {repository.id}” downloads its GGUF files.",
        )
    # Whether it can be converted is known from the headers; after the download it would be too late.
    check(fetch_sparse_folder(hub, repository, model, paths.headers).path)
    download_model(hub, repository, model, paths)
    return paths.models / repository.id


def _override(text: str) -> TensorOverride:
    pattern, _, kind = text.rpartition("=")
    if not pattern:
        raise AppError(f"“{text}” is not PATTERN=TYPE.", "For example: --tensor ffn_down=Q6_K")
    return TensorOverride(pattern, kind)


def _leave_nothing(request: Quantize) -> None:
    """Ctrl+C ends this process at once: llama.cpp swallows what Python raises inside its log callback."""
    from app.quantize.quantize import remove_parts

    def end(_number: int, _frame: FrameType | None) -> None:
        remove_parts(request)
        print("Stopped. Run it again to go on." if request.best else "Stopped.", file=sys.stderr, flush=True)
        os._exit(130)

    signal.signal(signal.SIGINT, end)
