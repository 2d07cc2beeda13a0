"""The text that shows which weights matter, as windows of token ids."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from torch import Tensor

from app.errors import AppError, PruneError
from app.library.gguf_reader import printable
from app.prune.messages import Prune
from app.quantize.calibration import CALIBRATION_TEXT, read_text

LEAST_WINDOW = 32


def read_windows(request: Prune, longest: int) -> Tensor:
    """Token ids [windows, tokens]: at most `request.chunks` windows (0: all), from all over the text.

    Each begins with BOS where the model's tokenizer puts one. `longest` is the model's longest context. Raises
    AppError where the text is shorter than one window or cannot be read.
    """
    path = request.text or CALIBRATION_TEXT
    text = read_text(path).decode("utf-8")
    length = max(LEAST_WINDOW, min(request.context_tokens, longest))
    start, ids = _tokenize(request.source, text)
    step = length - len(start)
    count = len(ids) // step
    if count == 0:
        raise AppError(
            f"The text {path.name} is too short: it has {len(ids):,} tokens, and one window takes {step:,}.",
            "Take a longer text: 50 windows or more are good.",
        )
    wanted = min(count, request.chunks or count)
    places = [number * count // wanted * step for number in range(wanted)]
    return torch.tensor([[*start, *ids[place : place + step]] for place in places])


def _tokenize(folder: Path, text: str) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before a text (BOS, or nothing), and the ids of the text itself."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        with_bos = tokenizer("a", verbose=False)["input_ids"][:1]
    except Exception as error:  # tokenizers raises Exception itself for a file that it cannot read
        raise PruneError(
            f"The tokenizer of {folder.name} cannot be read: {printable(str(error))[:200]}.",
            "Download tokenizer.json again.",
        ) from error
    bos = tokenizer.bos_token_id
    return ([bos] if bos is not None and with_bos == [bos] else []), list(ids)
