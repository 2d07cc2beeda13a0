"""What a file is that was taken for a model: a web page, a Git LFS pointer, weights in another format."""

from __future__ import annotations

import re

from app.errors import ModelFileError

HEAD_BYTES = 1024

_AGAIN = "Download the model again, from the file's own download link."
_WEB_PAGE = re.compile(rb"\s*(<!doctype html|<html|<head|<\?xml|<!--)", re.IGNORECASE)
_OLDER = (b"lmgg", b"tjgg", b"fmgg", b"algg")


def not_gguf_error(head: bytes, name: str) -> ModelFileError:
    """The error for a file that does not begin with "GGUF". `head` is its first HEAD_BYTES."""
    return ModelFileError(*_sentence(head.removeprefix(b"\xef\xbb\xbf"), name))


def _sentence(head: bytes, name: str) -> tuple[str, str]:
    if _WEB_PAGE.match(head):
        return "This is a web page, not a model: the download saved the page instead of the file.", _AGAIN
    if head.startswith(b"version https://git-lfs"):
        return "This is a Git LFS pointer, not a model: it only names the file.", "Run “git lfs pull”, or download it."
    if not head.strip(b"\0"):
        return "The file begins with zeros: it was reserved and never filled.", _AGAIN
    if head.startswith(_OLDER):
        return "This is a model in a format older than GGUF.", "Convert it again with a recent converter."
    if head[8:10] == b'{"':
        return "These are weights in the safetensors format, not a GGUF model.", "Look for a GGUF of the same model."
    if head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")):
        return "This is an archive or a PyTorch file, not a GGUF model.", "Unpack it, or look for a GGUF of the model."
    if _is_text(head):
        return "This is a text file, not a model.", _AGAIN
    return f"This is not a GGUF model, whatever its name “{name}” says.", _AGAIN


def _is_text(head: bytes) -> bool:
    cut = re.sub(rb"[\xc0-\xff][\x80-\xbf]{0,3}$", b"", head)  # the head may end inside a character
    try:
        text = cut.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c.isspace() for c in text)
