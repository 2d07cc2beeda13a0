"""What a quantization is called: its output, the files on the way, what its manifest says. No engine here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.library.provenance import Quantization
from app.quantize.messages import Quantize


def part_paths(request: Quantize) -> tuple[Path, ...]:
    """Every unfinished file that the job may leave when its process is ended."""
    name = request.output.name
    ends = (".part", ".plan.part", ".source.part", ".source.part.part", ".imatrix.part", ".imatrix.part.part")
    return tuple(request.output.with_name(name + end) for end in ends)


def workspace(request: Quantize) -> Path:
    """Where the best quantization keeps what it can go on from after an interruption."""
    return request.output.with_name(f".{request.output.name}.work")


def step_of(request: Quantize) -> Quantization:
    """How the file is made, for its manifest."""
    return Quantization(
        type=request.type,
        importance=request.best or request.calibrate or request.importance is not None,
        best=request.best,
        overrides=tuple((override.pattern, override.type) for override in request.overrides),
        output_type=request.output_type,
        embedding_type=request.embedding_type,
    )


def default_output(source: Path, type: str, *, best: bool = False) -> Path:
    """The output beside a file, inside a folder: "name-Q4_K_M.gguf", without the type that the name ends in now."""
    if source.is_dir():
        return output_in(source, type, best=best)
    return source.parent / _name(source.stem, type, best)


def output_in(folder: Path, type: str, *, best: bool = False) -> Path:
    """The output in a folder with original weights, which may not be there yet."""
    return folder / _name(folder.resolve().name, type, best)


def _name(stem: str, type: str, best: bool) -> str:
    for known in ("F32", "F16", "BF16", "f32", "f16", "bf16"):
        stem = stem.removesuffix(f"-{known}").removesuffix(f".{known}")
    return f"{stem}-{type}{'-best' if best else ''}.gguf"


def each(request: Quantize, types: tuple[str, ...]) -> tuple[Quantize, ...]:
    """The same request for several types, under names of their own."""
    return tuple(
        replace(request, type=name, output=default_output(request.source, name, best=request.best)) for name in types
    )
