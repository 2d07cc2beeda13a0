"""The repositories a folder holds: `owner/name/…`, with `.hub.json` for what a hub knows beside the files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

LFS_BYTES = 64_000
_LFS_SUFFIXES = (".gguf", ".safetensors")


@dataclass
class File:
    """One file, read when it is asked for."""

    path: str
    on_disk: Path
    quick: bool = False
    """Hash the beginning only: for files of many GB whose content nobody will check."""

    @property
    def size(self) -> int:
        return self.on_disk.stat().st_size

    @property
    def is_lfs(self) -> bool:
        return self.path.endswith(_LFS_SUFFIXES) or self.size >= LFS_BYTES

    @property
    def sha256(self) -> str:
        return _hash(self.on_disk, self.on_disk.stat().st_mtime_ns, "sha256", self.quick)

    @property
    def git_sha1(self) -> str:
        return _hash(self.on_disk, self.on_disk.stat().st_mtime_ns, "git", self.quick)

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.git_sha1

    def entry(self) -> dict[str, Any]:
        """As in `/tree` and `/paths-info`."""
        plain = {"type": "file", "oid": self.git_sha1, "size": self.size, "path": self.path}
        if self.is_lfs:
            plain["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": 135}
        return plain

    def sibling(self) -> dict[str, Any]:
        """As in `/api/models/{id}?blobs=true`."""
        plain: dict[str, Any] = {"rfilename": self.path, "size": self.size, "blobId": self.git_sha1}
        if self.is_lfs:
            plain["lfs"] = {"sha256": self.sha256, "size": self.size, "pointerSize": 135}
        return plain


_hashes: dict[tuple[Path, int, str], str] = {}


def _hash(path: Path, mtime_ns: int, kind: str, quick: bool) -> str:
    key = (path, mtime_ns, kind)
    if key not in _hashes:
        digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                if quick:
                    break
        _hashes[key] = digest.hexdigest()
    return _hashes[key]


@dataclass
class Repository:
    """A repository at its only commit, which is another one when a file changes."""

    id: str
    folder: Path | None
    facts: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def files(self) -> dict[str, File]:
        if self.folder is None:
            return {}
        paths = sorted(p for p in self.folder.rglob("*") if p.is_file() and p.name != ".hub.json")
        quick = bool(self.facts.get("quick_hash"))
        names = [path.relative_to(self.folder).as_posix() for path in paths]
        return {name: File(name, path, quick) for name, path in zip(names, paths, strict=True)}

    @property
    def commit(self) -> str:
        state = "\n".join(f"{f.path} {f.etag}" for f in self.files.values())
        return hashlib.sha1(f"{self.id}\n{state}".encode()).hexdigest()

    def information(self, *, full: bool) -> dict[str, Any]:
        """As in `/api/models/{id}`, or as a row of a search."""
        names = list(self.files) or self.facts.get("names", ["model-Q4_K_M.gguf"])
        tags = [*self.facts.get("tags", []), *(["gguf"] if any(n.endswith(".gguf") for n in names) else [])]
        tags += ["safetensors"] if any(n.endswith(".safetensors") for n in names) else []
        licence = self.facts.get("license")
        tags += [f"license:{licence}"] if licence else []
        base = self.facts.get("base_model")
        row: dict[str, Any] = {
            "_id": self.commit[:24], "id": self.id, "modelId": self.id, "author": self.id.split("/")[0],
            "sha": self.commit, "private": False, "gated": self.facts.get("gated", False),
            "downloads": self.facts.get("downloads", 0), "likes": self.facts.get("likes", 0),
            "lastModified": self.facts.get("lastModified", "2026-01-01T00:00:00.000Z"),
            "createdAt": "2025-01-01T00:00:00.000Z", "trendingScore": self.facts.get("trendingScore", 0),
            "tags": tags, "pipeline_tag": self.facts.get("pipeline_tag", "text-generation"),
        }  # fmt: skip
        for key in ("gguf", "safetensors"):
            if key in self.facts:
                row[key] = self.facts[key]
        if full:
            row["siblings"] = [file.sibling() for file in self.files.values()]
            row["cardData"] = ({"license": licence} if licence else {}) | ({"base_model": base} if base else {})
        return row


def read_repositories(folder: Path) -> dict[str, Repository]:
    """All repositories of the folder by id."""
    found = {}
    for place in sorted(p for p in folder.glob("*/*") if p.is_dir()):
        facts = place / ".hub.json"
        identity = place.relative_to(folder).as_posix()
        found[identity] = Repository(identity, place, json.loads(facts.read_text("utf-8")) if facts.exists() else {})
    return found


def made_up(count: int) -> dict[str, Repository]:
    """Repositories without files, to fill a list."""
    made = {}
    for number in range(count):
        identity = f"author-{number % 23}/Made-Up-{number:04d}-{number % 70 + 1}B-Instruct-GGUF"
        facts = {"downloads": 100_000 - 37 * number, "likes": number % 900, "license": "apache-2.0"}
        made[identity] = Repository(identity, None, facts)
    return made
