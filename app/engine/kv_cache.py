"""The KV cache together with the token ids it stands for: the one place that keeps the two in step."""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from app.engine.llama import Context
from app.system.files import own_name


class KvCache:
    """`tokens` are the ids whose keys and values are in the context, in order from position 0."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tokens: list[int] = []

    @property
    def free_tokens(self) -> int:
        """How many tokens can still be added."""
        return self.context.context_tokens - len(self.tokens)

    def keep(self, count: int) -> int:
        """Drop all but the first `count` tokens, or all where the model's memory cannot drop some; how many stay."""
        if count < len(self.tokens):
            if self.context.truncate(count):
                del self.tokens[count:]
            else:
                self.clear()
        return len(self.tokens)

    def extend(self, tokens: Sequence[int], on_progress: Callable[[int], None] | None = None) -> bool:
        """Run the model over `tokens`; the logits of the last one can be sampled then.

        `on_progress(done)` is called after each batch. Returns False when it was stopped; what was finished before
        the batch that was interrupted stays.
        """
        size = self.context.batch_tokens
        for start in range(0, len(tokens), size):
            batch = tokens[start : start + size]
            if not self.context.decode(batch, len(self.tokens)):
                self._drop_interrupted_batch()
                return False
            self.tokens.extend(batch)
            if on_progress:
                on_progress(start + len(batch))
        return True

    def verify(self, tokens: Sequence[int], size: int) -> bool:
        """Run the model over `tokens`, one batch; each row of logits can be sampled then.

        The batch is filled up to `size` tokens where the context has room, because that may be cheaper; what fills it
        is dropped again. Returns False when it was stopped.
        """
        filled = [*tokens, *[tokens[-1]] * (min(size, self.free_tokens) - len(tokens))]
        start = len(self.tokens)
        if not self.context.decode(filled, start, rows=len(tokens)):
            self._drop_interrupted_batch()
            return False
        self.tokens.extend(tokens)
        if len(filled) > len(tokens):
            self.context.truncate(len(self.tokens))
        return True

    def clear(self) -> None:
        """Forget everything."""
        self.context.clear()
        self.tokens.clear()

    def _drop_interrupted_batch(self) -> None:
        if not self.context.truncate(len(self.tokens)):
            self.clear()


# KV caches of conversations on disk, so that a long chat that is opened again need not be read again.
#
# A file is llama.cpp's sequence state with a seal behind it: length and CRC-32 of all before. llama.cpp aborts the
# process over a state that is cut off, so it is only shown files whose seal is whole.


_SEAL = struct.Struct("<8sQI")
_MAGIC = b"bantamkv"
_CHUNK = 1 << 20


class KvStore:
    """One file a conversation and way of loading a model, the least recently used removed beyond the limit."""

    def __init__(self, folder: Path, model_key: str, limit_bytes: int) -> None:
        """`model_key` names all that the cache depends on: the file, the cache's type, flash attention."""
        self._folder = folder
        self._suffix = "-" + hashlib.sha256(model_key.encode()).hexdigest()[:16] + ".kv"
        self._limit_bytes = limit_bytes

    def save(self, conversation_id: str, cache: KvCache) -> bool:
        """Write the cache. False where it could not be kept: a full disk costs time later, nothing else."""
        if not cache.tokens or self._limit_bytes <= 0:
            return False
        path = self._path(conversation_id)
        part = own_name(path)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            written = cache.context.save(part, cache.tokens)
            if not written or written > self._limit_bytes:
                part.unlink(missing_ok=True)
                return False
            _seal(part)
            part.replace(path)
            self._trim()
        except OSError:
            part.unlink(missing_ok=True)
            return False
        return True

    def restore(self, conversation_id: str, cache: KvCache) -> None:
        """Fill the empty `cache` from disk. It stays empty where there is no file, or one that cannot be used."""
        path = self._path(conversation_id)
        if not path.is_file():
            return
        cache.tokens = cache.context.restore(path) if _is_whole(path) else []
        if cache.tokens:
            os.utime(path)
        else:
            path.unlink(missing_ok=True)

    def _path(self, conversation_id: str) -> Path:
        return self._folder / (re.sub(r"[^0-9A-Za-z-]", "_", conversation_id)[:80] + self._suffix)

    def _trim(self) -> None:
        for part in self._folder.glob("*.kv.part"):  # of an older version that was killed
            part.unlink(missing_ok=True)
        files = sorted(self._folder.glob("*.kv"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in files:
            total += path.stat().st_size
            if total > self._limit_bytes:
                path.unlink(missing_ok=True)


def _seal(path: Path) -> None:
    """Append length and checksum, and bring all of it to the disk. Raises OSError."""
    length, checksum = path.stat().st_size, _checksum(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(_SEAL.pack(_MAGIC, length, checksum))
        file.flush()
        os.fsync(file.fileno())


def _is_whole(path: Path) -> bool:
    try:
        length = path.stat().st_size - _SEAL.size
        if length <= 0:
            return False
        with path.open("rb") as file:
            file.seek(length)
            seal = _SEAL.unpack(file.read(_SEAL.size))
        return bool(seal == (_MAGIC, length, _checksum(path, length)))
    except OSError:
        return False


def _checksum(path: Path, length: int) -> int:
    checksum = 0
    with path.open("rb") as file:
        while length > 0 and (chunk := file.read(min(_CHUNK, length))):
            checksum = zlib.crc32(chunk, checksum)
            length -= len(chunk)
    return checksum
