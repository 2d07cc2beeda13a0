"""Models in several files: `name-00001-of-00003.gguf`, as llama.cpp's gguf-split writes them."""

from __future__ import annotations

import re
from pathlib import Path

from app.errors import ModelFileError

_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)


def split_name(name: str) -> tuple[str, int, int] | None:
    """(stem, number from 1, count) of the name of a part, or None for a file of its own."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    number, count = int(match["number"]), int(match["count"])
    return (match["stem"], number, count) if 1 <= number <= count and count > 1 else None


def part_path(path: Path, number: int) -> Path:
    """The part with this number of the model that `path` is a part of."""
    return path.with_name(re.sub(r"-\d{5}(-of-\d{5}\.gguf)$", rf"-{number:05d}\1", path.name, flags=re.IGNORECASE))


def parts_of(path: Path, index: int, count: int) -> list[Path]:
    """All parts of a split model by its first. `index` and `count` are what its header says. Raises ModelFileError."""
    name = split_name(path.name)
    if index > 0:
        first = f": “{part_path(path, 1).name}”" if name else ""
        raise ModelFileError(
            f"This is part {index + 1} of {count} of a model.", f"Load the first part{first}. It brings the others."
        )
    if name is None or name[1] != 1 or name[2] != count:
        raise ModelFileError(
            f"This is one of {count} parts of a model, and was given another name.",
            f"Name the parts …-00001-of-{count:05d}.gguf and so on again.",
        )
    parts = [part_path(path, number) for number in range(1, count + 1)]
    missing = [part for part in parts if not part.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelFileError(
            f"Part {split_number(missing[0])} of {count} of the model is missing{more}: “{missing[0].name}”.",
            "Download all parts into one folder.",
        )
    return parts


def split_number(path: Path) -> int:
    """Which part of a split model a file is, from 1; 1 for a file of its own."""
    name = split_name(path.name)
    return name[1] if name else 1
