"""What a model is compared with: a GGUF file as it is, or a folder of safetensors by way of a file that goes again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from app.convert.messages import Convert
from app.errors import StorageError
from app.library.safetensors import facts_of
from app.operation import Context, Report, ShouldStop
from app.system.files import PART, held, is_held, is_taken, own_name
from app.system.paths import Paths

_EXACT_TYPES = {"F32": "f32", "F16": "f16"}


@contextlib.contextmanager
def as_gguf(reference: Path | None, paths: Paths, report: Report, stop: ShouldStop) -> Iterator[Path | None]:
    """A GGUF file of the reference. Raises what `convert` raises for a folder that cannot be converted.

    A folder is converted in the type its weights are stored in, so that nothing but the model's own loss is measured.
    A copy that another measurement reads stays; this one makes its own then.
    """
    if reference is None or not reference.is_dir():
        yield reference
        return
    from app.convert.conversion import convert

    output = paths.reference_copy(reference)
    if is_held(output) or is_taken(output.with_name(output.name + PART)):
        output = own_name(output, ".gguf")
    facts = facts_of(reference)
    kind = _EXACT_TYPES.get(facts.type.upper() if facts else "", "bf16")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{output.parent} cannot be written to: {error.strerror or error}.") from error
    try:
        convert(Convert(reference, output, kind), Context(report=report, stop=stop))
        with held(output):
            yield output
    finally:
        with contextlib.suppress(OSError):
            output.unlink(missing_ok=True)
