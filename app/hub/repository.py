"""What the hub says of a repository and of the models in it. All texts come from strangers: plain, short, printable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ModelFormat(StrEnum):
    """What a model's files are."""

    GGUF = "gguf"
    """Can be chatted with as it is."""
    SAFETENSORS = "safetensors"
    """The original weights: to be converted and quantized first."""


class Gate(StrEnum):
    """What the author asks for before the files can be downloaded. The rest of a repository is always public."""

    OPEN = "open"
    AUTOMATIC = "auto"
    """Accept the conditions on the hub's page; access is given at once."""
    MANUAL = "manual"
    """The author decides on each request."""


class SortBy(StrEnum):
    """Order of search results, largest or latest first; in the hub's own words."""

    DOWNLOADS = "downloads"
    LIKES = "likes"
    RECENT = "lastModified"
    TRENDING = "trendingScore"


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to look for. An empty text finds everything; an empty author is any; a format of None is either."""

    text: str = ""
    author: str = ""
    format: ModelFormat | None = ModelFormat.GGUF
    sort: SortBy = SortBy.DOWNLOADS


@dataclass(frozen=True, slots=True)
class RepositorySummary:
    """A row of the search results. Numbers are 0 and texts "" where the hub says nothing."""

    id: str
    """owner/name"""
    formats: tuple[ModelFormat, ...] = ()
    downloads: int = 0
    """In the last 30 days."""
    likes: int = 0
    updated: str = ""
    """ISO 8601 date."""
    parameters: int = 0
    license: str = ""
    gate: Gate = Gate.OPEN

    @property
    def author(self) -> str:
        """The part before the slash; "" where there is none."""
        return self.id.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The part after the slash."""
        return self.id.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at one revision. `sha256` is known of large files (LFS), `git_sha1` (of the git blob) of all others."""

    path: str
    """Inside the repository, with slashes. Checked: relative, without "..", usable as a path on this system."""
    size_bytes: int
    sha256: str = ""
    git_sha1: str = ""

    @property
    def name(self) -> str:
        """Without its folders."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """One thing to judge and to download: a GGUF file, all parts of a split one, or what a conversion needs.

    `label` tells it from the others of its repository: "Q4_K_M", "Original weights". `family` is the same for files
    that differ only in quantization: they have the same KV cache and compute buffers.
    """

    format: ModelFormat
    label: str
    files: tuple[RemoteFile, ...]
    family: str = ""

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def key(self) -> str:
        """Path of the first file, which names the model inside its repository."""
        return self.files[0].path


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one commit. `models`: what Bantam can use, smallest first; `problem`: why there is none."""

    summary: RepositorySummary
    revision: str
    """The commit, 40 hexadecimal digits."""
    models: tuple[RemoteModel, ...]
    total_files: int = 0
    problem: str = ""
    base_model: str = ""
    """The repository that this one was quantized from, where the author says so."""

    @property
    def id(self) -> str:
        """owner/name"""
        return self.summary.id
