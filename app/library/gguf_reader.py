"""Walks the header of a GGUF file (version 2 or 3) with limits, keeping only what is asked for.

Reads through a buffer and not a memory map: a map of a file that another program shortens ends the process with SIGBUS.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from app.errors import ModelFileError
from app.library.tensor_types import TENSOR_TYPES, TensorType
from app.units import size_text

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}

_INTEGERS = (0, 1, 2, 3, 4, 5, 10, 11)

MAX_KEYS = 65_536
MAX_TENSORS = 100_000
MAX_KEY_BYTES = 65_535
MAX_TENSOR_NAME_BYTES = 63
MAX_DIMENSIONS = 4
MAX_STRINGS = 4_000_000
"""The most strings in all arrays together; the largest vocabularies with their merges have under one million."""
MAX_ARRAY_ELEMENTS = 1 << 30
MAX_HEADER_BYTES = 1 << 29
MAX_KEPT_TEXT_BYTES = 4096
MAX_KEPT_ELEMENTS = 1024
MAX_WHOLE_ELEMENTS = 1 << 21
"""The most elements of a list that is kept whole; the largest vocabularies have a quarter of a million tokens."""
MAX_ELEMENTS = 1 << 62
BUFFER_BYTES = 1 << 20

Value = int | float | bool | str | tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor as the header describes it; `offset` counts from the start of the data."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int
    elements: int
    size_bytes: int


@dataclass(slots=True)
class RawHeader:
    """What a header holds. `values` has the keys that were asked for; `lengths` those of all arrays and texts.

    `lists` has the arrays that were asked for whole: texts as bytes, numbers as they are.
    """

    values: dict[str, Value] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    tensors: list[TensorInfo] = field(default_factory=list)
    data_start: int = 0
    lists: dict[str, tuple[bytes, ...] | tuple[int, ...]] = field(default_factory=dict)


def read_raw(
    file: BinaryIO, file_bytes: int, wanted: Callable[[str], bool], whole: frozenset[str] = frozenset()
) -> RawHeader:
    """Read the header of a file opened in binary mode that begins with MAGIC. Raises ModelFileError, OSError.

    Arrays are kept where they are short, or named in `whole`.
    """
    reader = _Reader(file, file_bytes)
    reader.skip(len(MAGIC))
    _check_version(reader.u32())
    tensors, keys = reader.u64(), reader.u64()
    if tensors > MAX_TENSORS or keys > MAX_KEYS:
        raise damaged(f"it claims {max(tensors, keys):,} {'tensors' if tensors > MAX_TENSORS else 'entries'}")
    header = RawHeader()
    for _ in range(keys):
        _read_entry(reader, header, wanted, whole)
    names: set[str] = set()
    for _ in range(tensors):
        tensor = _read_tensor(reader)
        if tensor.name in names:
            raise damaged(f"the tensor “{printable(tensor.name)}” is there twice")
        names.add(tensor.name)
        header.tensors.append(tensor)
    header.data_start = _aligned(reader.position, _alignment(header))
    _check_offsets(header)
    return header


def printable(text: str, length: int = 60) -> str:
    """Text from a file as one plain, short line: no control, format or direction characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * length]).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _check_version(version: int) -> None:
    if version & 0xFFFF == 0 and version:
        raise ModelFileError(
            "The file is made for big-endian machines and cannot be read on this one.",
            "Look for the same model without “big-endian” or “BE” in its name.",
        )
    if version not in (2, 3):
        raise ModelFileError(
            f"The file has GGUF version {version}; versions 2 and 3 can be read.",
            "Convert the model again with a recent converter." if version == 1 else "A newer Bantam may read it.",
        )


def _read_entry(reader: _Reader, header: RawHeader, wanted: Callable[[str], bool], whole: frozenset[str]) -> None:
    key = reader.text(MAX_KEY_BYTES, "a name")
    if not key or key in header.lengths:
        raise damaged(f"the entry “{printable(key)}” is there twice" if key else "an entry has no name")
    kind = reader.u32()
    keep = wanted(key)
    header.lengths[key] = 1
    if kind == ARRAY:
        _read_array(reader, header, key, keep, key in whole)
    elif kind == STRING:
        header.lengths[key] = length = reader.length("a text")
        kept = reader.take(min(length, MAX_KEPT_TEXT_BYTES)) if keep else b""
        reader.skip(length - len(kept))
        if keep:
            header.values[key] = kept.decode("utf-8", "replace")
    elif kind in SCALARS:
        value: Value = reader.scalar(SCALARS[kind])
        if keep:
            header.values[key] = value
    else:
        raise damaged(f"the entry “{printable(key)}” has the unknown type {kind}")


def _read_array(reader: _Reader, header: RawHeader, key: str, keep: bool, keep_whole: bool) -> None:
    kind, count = reader.u32(), reader.u64()
    if kind not in SCALARS and kind != STRING:
        raise damaged(f"the list “{printable(key)}” has the unknown type {kind}")
    if count > MAX_ARRAY_ELEMENTS:
        raise damaged(f"the list “{printable(key)}” claims {count:,} elements")
    header.lengths[key] = count
    if keep_whole and count <= MAX_WHOLE_ELEMENTS and kind in (STRING, *_INTEGERS):
        header.lists[key] = reader.strings(count) if kind == STRING else reader.integers(SCALARS[kind], count)
    elif kind == STRING:
        reader.skip_strings(count)
    elif keep and count <= MAX_KEPT_ELEMENTS:
        header.values[key] = tuple(reader.scalar(SCALARS[kind]) for _ in range(count))
    else:
        reader.skip(count * struct.calcsize(SCALARS[kind]))


def _read_tensor(reader: _Reader) -> TensorInfo:
    name = reader.text(MAX_TENSOR_NAME_BYTES, "the name of a tensor")
    dimensions = reader.u32()
    if dimensions > MAX_DIMENSIONS:
        raise damaged(f"the tensor “{printable(name)}” claims {dimensions:,} dimensions")
    shape = tuple(reader.u64() for _ in range(dimensions))
    kind, offset = reader.u32(), reader.u64()
    if kind not in TENSOR_TYPES:
        raise ModelFileError(
            f"The tensor “{printable(name)}” has the type {kind}, which this version of llama.cpp does not know.",
            "The file may be damaged, or need a newer Bantam.",
        )
    type_ = TENSOR_TYPES[kind]
    elements = 1
    for length in shape:
        elements *= length
    if elements > MAX_ELEMENTS or any(length > MAX_ELEMENTS for length in shape):
        raise damaged(f"the tensor “{printable(name)}” claims an absurd shape")
    if shape and shape[0] % type_.block:
        raise damaged(f"the rows of the tensor “{printable(name)}” do not fit its type {type_.name}")
    return TensorInfo(name, shape, type_, offset, elements, elements // type_.block * type_.block_bytes)


def _alignment(header: RawHeader) -> int:
    alignment = header.values.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1) or alignment > 1 << 20:
        raise damaged("its alignment is not a power of two")
    return alignment


def _check_offsets(header: RawHeader) -> None:
    """llama.cpp wants each tensor to begin where the one before it ended, padded to the alignment."""
    expected, alignment = 0, _alignment(header)
    for tensor in header.tensors:
        if tensor.offset != expected:
            raise damaged(f"the tensor “{printable(tensor.name)}” is not where it should be")
        expected = _aligned(expected + tensor.size_bytes, alignment)


def _aligned(position: int, alignment: int) -> int:
    return (position + alignment - 1) // alignment * alignment


def damaged(what: str) -> ModelFileError:
    """The error for a header that cannot be true."""
    return ModelFileError(f"The header of the file is damaged: {what}.", "Download the file again.")


class _Reader:
    """The bytes of the header in order, through a buffer of BUFFER_BYTES that moves along the file."""

    def __init__(self, file: BinaryIO, file_bytes: int) -> None:
        self._file = file
        self._file_bytes = file_bytes
        self._buffer = b""
        self._start = 0
        self._at = 0
        self._strings = 0

    @property
    def position(self) -> int:
        return self._start + self._at

    def u32(self) -> int:
        return int(self.scalar("<I"))

    def u64(self) -> int:
        return int(self.scalar("<Q"))

    def scalar(self, form: str) -> int | float | bool:
        size = struct.calcsize(form)
        self._need(size)
        value: int | float | bool = struct.unpack_from(form, self._buffer, self._at)[0]
        self._at += size
        return value

    def length(self, what: str) -> int:
        """The length of the text that follows, known to lie inside the file."""
        length = self.u64()
        if length > self._file_bytes - self.position:
            if length > MAX_HEADER_BYTES:
                raise damaged(f"{what} in it claims {length:,} bytes")
            raise self._cut_off()
        return length

    def text(self, limit: int, what: str) -> str:
        length = self.length(what)
        if length > limit:
            raise damaged(f"{what} in it is {length:,} bytes long")
        return self.take(length).decode("utf-8", "replace")

    def take(self, size: int) -> bytes:
        self._need(size)
        self._at += size
        return self._buffer[self._at - size : self._at]

    def skip(self, size: int) -> None:
        self._at += size
        if self.position > MAX_HEADER_BYTES:
            raise damaged(f"it is longer than {size_text(MAX_HEADER_BYTES)}")
        if self.position > self._file_bytes:
            raise self._cut_off()

    def strings(self, count: int) -> tuple[bytes, ...]:
        """`count` texts, as bytes."""
        self._count_strings(count)
        return tuple(self.take(self.length("a text")) for _ in range(count))

    def integers(self, form: str, count: int) -> tuple[int, ...]:
        """`count` whole numbers of the same form."""
        size = count * struct.calcsize(form)
        if size > self._file_bytes - self.position:
            raise self._cut_off()
        return struct.unpack(f"<{count}{form[1:]}", self.take(size))

    def skip_strings(self, count: int) -> None:
        """Walk over `count` texts: a length of 8 bytes and the bytes, each. No text is made of them."""
        self._count_strings(count)
        unpack = struct.Struct("<Q").unpack_from
        while count:
            self._need(8)
            buffer, at, last = self._buffer, self._at, len(self._buffer) - 8
            while count and at <= last:
                at += 8 + unpack(buffer, at)[0]
                count -= 1
            self._at = at
            self.skip(0)

    def _count_strings(self, count: int) -> None:
        self._strings += count
        if self._strings > MAX_STRINGS:
            raise damaged(f"its lists claim {self._strings:,} texts")

    def _need(self, size: int) -> None:
        """Have `size` bytes in the buffer from the present place on."""
        if 0 <= self._at <= len(self._buffer) - size:
            return
        self._start, self._at = self.position, 0
        self._file.seek(self._start)
        self._buffer = self._file.read(max(BUFFER_BYTES, size))
        if len(self._buffer) < size:
            raise self._cut_off()

    def _cut_off(self) -> ModelFileError:
        return ModelFileError(
            f"The file is cut off: only {size_text(self._file_bytes)} are there, not even its whole header.",
            "Download the file again.",
        )


# What a file is that was taken for a model: a web page, a Git LFS pointer, weights in another format.


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
