"""What a recovery is called: its work folder, its recipe in words, what an unfinished one must match. No torch here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from app.library.manifest import read_manifest
from app.library.safetensors import weight_files
from app.recover.messages import BUNDLED_TEXT, TEACHER_TEXT, Recover, RecoverMethod
from app.units import percent

METHODS = {RecoverMethod.LORA: "LoRA", RecoverMethod.QLORA: "QLoRA", RecoverMethod.FULL: "all weights"}


def workspace(output: Path) -> Path:
    """Hidden, beside the output: the written text, the last checkpoint, the result before it has its name."""
    return output.with_name(f".{output.name}.work")


def recipe_of(request: Recover) -> str:
    """How the folder is made, to be read: "FFN 1536 to 1024, refitted; recovered, LoRA, 80,000 tokens"."""
    parts = [f"recovered, {METHODS[request.method]}, {request.budget_tokens:,} tokens"]
    if request.text != TEACHER_TEXT:
        parts.append("bundled text" if request.text == BUNDLED_TEXT else f"text {Path(request.text).name}")
    if request.hard_loss:
        parts.append(f"{percent(request.hard_loss)} cross-entropy")
    if request.quantization_aware:
        parts.append(f"on the {request.quantization_aware} grid")
    before = recipe_before(request.model)
    return f"{before}; {', '.join(parts)}" if before else ", ".join(parts)


def recipe_before(folder: Path) -> str:
    """How the model itself was made, as its manifest says; "" where it does not."""
    files = read_manifest(folder).files
    return next((origin.recipe for name, origin in sorted(files.items()) if name.endswith(".safetensors")), "")


def fingerprint(request: Recover) -> str:
    """The same for a request that may go on where another stopped: all that decides the result, and the files' state.

    Threads are left out: another number of them rounds sums otherwise, and is no reason to begin again.
    """
    asked = dataclasses.asdict(dataclasses.replace(request, output=Path(), threads=0))
    files = [*weight_files(request.model), *weight_files(request.teacher)]
    if request.text not in (TEACHER_TEXT, BUNDLED_TEXT):
        files.append(Path(request.text).expanduser())
    stats = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.exists()]
    return hashlib.sha256(json.dumps([asked, stats], default=str, sort_keys=True).encode()).hexdigest()
