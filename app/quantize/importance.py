"""Which weights matter: an importance matrix, collected by the engine itself while it reads a text.

What is collected is the mean square of each input column of each matrix of the layers, the diagonal of what GPTQ calls
the Hessian; llama.cpp's quantizers weigh the rounding errors by it (llama.cpp PR 4861). Windows, first token and file
are those of llama-imatrix. numpy and the engine are imported when they are used: the window imports this module too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from app.engine.messages import MachineSpeed
from app.errors import ModelFileError, QuantizeError, StorageError
from app.fit.judgement import ReadProfile
from app.fit.speed import predicted_ms
from app.library.gguf_file import GgufHeader, read_header
from app.operation import Context, Notice
from app.quantize.calibration import CALIBRATION_TEXT, opened, prefill_threads, read_all, read_text, windows_of
from app.quantize.messages import CollectImportance, ImportanceCollected

if TYPE_CHECKING:
    from app.quantize.importance_file import Importance

_PREFILL_GAIN = 3.5
"""How much less time a token takes when it is read with hundreds of others than when it is answered. Measured on 2
cores: 2.3 to 4.3 for five models of 21M to 1B, from Q4_0 to F16. Only for the estimate before the first window."""


def collect_importance(request: CollectImportance, context: Context) -> ImportanceCollected:
    """Read the text in windows and write the importance matrix to `request.output`.

    Raises AppError (no such text, too short a text, output exists, a model that cannot be loaded) and Cancelled;
    then nothing is left behind.
    """
    from app.engine.activations import ActivationReader
    from app.quantize.importance_file import Collector, write_importance

    text_path = request.text or CALIBRATION_TEXT
    _check_output(request.output)
    data = read_text(text_path)
    header = read_header(request.model)
    if header.chat_problem:
        raise ModelFileError(header.chat_problem)
    collector = Collector()
    with opened(request.model, request.context_tokens, context.report, context.stop) as model:
        windows = windows_of(model, data.decode("utf-8"), request.context_tokens, request.chunks, text_path)
        threads = request.threads or prefill_threads(header)
        reader = ActivationReader(model, len(windows[0]), threads, collector, context.stop)
        try:
            read_all(reader.read, windows, context.report)
        finally:
            reader.close()
    if unused := collector.unused_experts():
        context.report(
            Notice(f"{unused:,} expert matrices were never used by this text; they are rounded without weights.")
        )
    about = {"bantam.text_sha256": hashlib.sha256(data).hexdigest()}
    tokens = len(windows[0])
    write_importance(request.output, collector.entries, text_path.name, len(windows), tokens, about)
    return ImportanceCollected(request.output, len(collector.entries), len(windows) * tokens)


def read_importance(path: Path) -> Importance:
    """Mean squares by weight: a flat f32 array over experts and columns, as llama-quantize passes them to llama.cpp.

    Reads llama-imatrix's GGUF files and its older `.dat`. Raises QuantizeError.
    """
    from app.quantize.importance_file import read

    return read(path)


def check_importance(importance: Importance, shapes: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Raise QuantizeError where the matrix is of another model: of other widths, of more layers, or of nothing here.

    `shapes` are the model's tensors in ggml's order (columns first); `name` is the file's, for the sentence. Single
    entries may be missing or too many: not every tool collects the output matrix, or layers for drafts.
    """
    problem = ""
    layers = 1 + max((_layer(weight) for weight in shapes), default=-1)
    for weight, values in importance.items():
        shape = shapes.get(weight, ())
        columns = math.prod((*shape[:1], *shape[2:]))
        if len(shape) > 1 and values.size != columns:
            problem = f"{weight} has {values.size:,} columns there and {columns:,} here"
        elif _layer(weight) >= layers:
            problem = f"it has {weight}, and this model has {layers} layers"
        if problem:
            break
    matrices = [weight for weight, shape in shapes.items() if _layer(weight) >= 0 and len(shape) > 1]
    if not problem and 2 * sum(weight in importance for weight in matrices) < len(matrices):
        problem = "most matrices of this model are not in it"
    if problem:
        raise QuantizeError(
            f"The importance matrix {name} was made for another model: {problem}.",
            "Collect a new one from this model.",
        )


def _layer(weight: str) -> int:
    """Number of the layer; -1 for a tensor of none."""
    parts = weight.split(".")
    return int(parts[1]) if parts[0] == "blk" and len(parts) > 2 and parts[1].isdecimal() else -1


def estimate_seconds(model: GgufHeader, chunks: int, machine: MachineSpeed, context_tokens: int = 512) -> float:
    """How long `chunks` windows will take, before the first is read: right within a factor of two."""
    token_ms = predicted_ms(ReadProfile.of_header(model), 0, machine) / _PREFILL_GAIN
    return chunks * context_tokens * token_ms / 1000


def estimate_chunks(text: Path | None = None, context_tokens: int = 512) -> int:
    """About how many windows a text has, by its size: four bytes a token. 0 where it cannot be read."""
    try:
        return (text or CALIBRATION_TEXT).stat().st_size // (4 * context_tokens)
    except OSError:
        return 0


def _check_output(output: Path) -> None:
    if output.exists():
        raise StorageError(f"{output.name} is there already.", "Choose another name, or delete it first.")
    if not output.parent.is_dir():
        raise StorageError(f"There is no folder {output.parent}.", "Choose one that exists.")
