"""What strangers call their files: checked before anything on this computer gets that name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.errors import HubError
from app.library.gguf_reader import printable
from app.library.split import split_name

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_URL = re.compile(r"https?://[^/]+/(?:models/)?(?P<id>[\w.-]+/[\w.-]+)(?:[/?#].*)?", re.ASCII)
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)  # of Windows: a model folder moves between computers
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
MAX_PART_BYTES = 200
MAX_PATH_BYTES = 400

_QUANTIZATION = re.compile(
    r"(?:^|[-_.])((?:UD-)?(?:I?Q[1-8](?:_[A-Z0-9]+)*|BF16|F16|FP16|F32|FP32|MXFP4(?:_MOE)?|TQ[12]_0))(?=$|[-_.])",
    re.IGNORECASE,
)


def repository_id(text: str) -> str | None:
    """The repository that a pasted id or address names; None for any other text."""
    text = text.strip()
    match = _URL.fullmatch(text)
    found = match["id"] if match else text
    return found if _ID.fullmatch(found) and ".." not in found else None


def check_repository_id(text: str) -> str:
    """The id itself. Raises HubError for a text that is none."""
    if repository_id(text) != text:
        raise HubError(f"“{printable(text)}” does not name a repository.", "A name looks like “owner/model”.")
    return text


def is_safe_path(path: str) -> bool:
    """Whether a file of a repository may have this path below a folder of ours, on any system."""
    if not path or len(path.encode("utf-8", "replace")) > MAX_PATH_BYTES or _FORBIDDEN.search(path):
        return False
    return all(_is_safe_part(part) for part in path.split("/"))


def _is_safe_part(part: str) -> bool:
    if part in ("", ".", "..") or part[-1] in ". " or len(part.encode("utf-8", "replace")) > MAX_PART_BYTES:
        return False
    return part.split(".")[0].strip().lower() not in _RESERVED and part.isprintable()


@dataclass(frozen=True, slots=True)
class GgufName:
    """What the name of a GGUF file says. Parts of a split model have the same `model`."""

    model: str
    """The path without the part's number and suffix."""
    label: str
    """ "Q4_K_M", or the name itself where it says no quantization."""
    family: str
    """The name without the quantization, in lower case."""


def gguf_name(path: str) -> GgufName:
    """Read the path of a GGUF file inside its repository."""
    name = path.rpartition("/")[2]
    split = split_name(name)
    stem = split[0] if split else name[: -len(".gguf")]
    model = path[: len(path) - len(name)] + stem
    matches = list(_QUANTIZATION.finditer(stem))
    if not matches:
        return GgufName(model, printable(stem), stem.lower())
    last = matches[-1]
    family = (stem[: last.start(1)] + stem[last.end(1) :]).strip("-_.").lower()
    return GgufName(model, last[1].upper(), family)
