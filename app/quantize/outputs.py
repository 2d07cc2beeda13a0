"""What a quantization is called: its output, the unfinished files on the way, its recipe in words. No engine here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.quantize.messages import Quantize


def part_paths(request: Quantize) -> tuple[Path, ...]:
    """Every unfinished file that the job may leave when its process is ended."""
    name = request.output.name
    ends = (".part", ".plan.part", ".source.part", ".source.part.part", ".imatrix.part", ".imatrix.part.part")
    return tuple(request.output.with_name(name + end) for end in ends)


def workspace(request: Quantize) -> Path:
    """Where the best quantization keeps what it can go on from after an interruption."""
    return request.output.with_name(f".{request.output.name}.work")


def recipe_of(request: Quantize) -> str:
    """How the file is made, to be read: "Q4_K_M with an importance matrix"."""
    if request.best:
        return f"{request.type}, outliers folded (AWQ), importance matrix, rounded again (GPTQ)"
    words = request.type
    if request.importance or request.calibrate:
        words += " with an importance matrix"
    changed = [f"{override.pattern}={override.type}" for override in request.overrides]
    changed += [f"output={request.output_type}"] * bool(request.output_type)
    changed += [f"embedding={request.embedding_type}"] * bool(request.embedding_type)
    return f"{words}; {', '.join(changed)}" if changed else words


def default_output(source: Path, type: str, *, best: bool = False) -> Path:
    """Beside a file, inside a folder: "name-Q4_K_M.gguf", without the type that the name ends in now."""
    if source.is_dir():
        return output_in(source, type, best=best)
    return source.parent / _name(source.stem, type, best)


def output_in(folder: Path, type: str, *, best: bool = False) -> Path:
    """Of a folder with original weights, which may not be there yet."""
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
