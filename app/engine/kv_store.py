"""KV caches of conversations on disk, so that a long chat that is opened again need not be read again."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from app.engine.kv_cache import KvCache


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
        part = path.with_name(path.name + ".part")
        try:
            written = cache.context.save(part, cache.tokens)
            if not written or written > self._limit_bytes:
                part.unlink(missing_ok=True)
                return False
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
        cache.tokens = cache.context.restore(path)
        if cache.tokens:
            os.utime(path)
        else:
            path.unlink(missing_ok=True)

    def _path(self, conversation_id: str) -> Path:
        return self._folder / (re.sub(r"[^0-9A-Za-z-]", "_", conversation_id)[:80] + self._suffix)

    def _trim(self) -> None:
        files = sorted(self._folder.glob("*.kv"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in files:
            total += path.stat().st_size
            if total > self._limit_bytes:
                path.unlink(missing_ok=True)
