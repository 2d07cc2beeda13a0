"""The text that quality is measured on: the bundled one, or a file of the user's; and which windows of it are read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from app.errors import AppError
from app.system.paths import RESOURCES

EVALUATION_TEXT = RESOURCES / "texts" / "evaluation.txt"
_LARGEST_BYTES = 8_000_000
"""Read and tokenized as a whole, in seconds; more than any measurement here scores."""


@dataclass(frozen=True, slots=True)
class EvaluationText:
    """`name` holds the first 8 hexadecimal digits of the sha256, so that figures of two texts are never mixed up."""

    name: str
    content: str


def read_text(path: Path | None) -> EvaluationText:
    """The file, or the bundled text for None. Raises AppError with what is wrong with it."""
    file = path or EVALUATION_TEXT
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise AppError(f"The text {file.name} is larger than 8 MB.", "A part of it will do.")
        data = file.read_bytes()
    except OSError as error:
        raise AppError(f"The text {file} could not be read: {error.strerror or error}.") from error
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AppError(f"{file.name} is not a text in UTF-8.", "Save it as plain text, in UTF-8.") from error
    digest = hashlib.sha256(data).hexdigest()[:8]
    return EvaluationText(f"{'bundled' if path is None else path.name} {digest}", content)


def choose_windows(available: int, wanted: int) -> list[int]:
    """Numbers of `wanted` of the `available` windows, evenly spread over the text: few are representative then."""
    count = min(available, wanted)
    return [(2 * i + 1) * available // (2 * count) for i in range(count)]
