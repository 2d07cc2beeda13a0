"""Models that other programs on this computer have already: found in their usual folders, to be used where they lie.

Nothing of theirs is ever written or moved. Sources: the Hugging Face cache's layout (huggingface_hub), LM Studio's,
Jan's and Ollama's documentation of where they keep models.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.library.gguf_file import split_name
from app.system.files import read_json

MAX_FILES = 500
MAX_DEPTH = 6
_OLLAMA_MODEL = "application/vnd.ollama.image.model"


@dataclass(frozen=True, slots=True)
class OtherModel:
    """A GGUF file of another program; of a split model the first part."""

    program: str
    path: Path
    size_bytes: int


def find_models(environment: Mapping[str, str] | None = None, home: Path | None = None) -> tuple[OtherModel, ...]:
    """Every model found, by program. Folders that are not there or may not be read are passed over."""
    environment = os.environ if environment is None else environment
    home = Path.home() if home is None else home
    found: dict[Path, OtherModel] = {}
    for program, folder in _folders(environment, home):
        files = _ollama_files(folder) if program == "Ollama" else _gguf_files(folder)
        for path in files:
            if len(found) >= MAX_FILES:
                return tuple(found.values())
            try:
                found.setdefault(path.resolve(), OtherModel(program, path, path.stat().st_size))
            except OSError:
                continue
    return tuple(found.values())


def _folders(environment: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    cache = environment.get("HF_HUB_CACHE") or (
        Path(environment["HF_HOME"]) / "hub" if environment.get("HF_HOME") else home / ".cache" / "huggingface" / "hub"
    )
    yield "the Hugging Face cache", Path(cache)
    for place in (home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"):
        yield "LM Studio", place
    for place in _jan_folders(environment, home):
        yield "Jan", place
    yield "Ollama", Path(environment.get("OLLAMA_MODELS") or home / ".ollama" / "models")
    if sys.platform.startswith("linux"):
        yield "Ollama", Path("/usr/share/ollama/.ollama/models")  # where its service keeps them


def _jan_folders(environment: Mapping[str, str], home: Path) -> Iterator[Path]:
    if sys.platform == "win32":
        data = Path(environment.get("APPDATA") or home / "AppData" / "Roaming") / "Jan" / "data"
    elif sys.platform == "darwin":
        data = home / "Library" / "Application Support" / "Jan" / "data"
    else:
        data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "Jan" / "data"
        yield home / ".config" / "Jan" / "data" / "models"
    yield home / "jan" / "models"
    yield data / "models"
    yield data / "llamacpp" / "models"


def _gguf_files(folder: Path) -> Iterator[Path]:
    """GGUF files below a folder that are models, of a split one the first part."""
    for place, folders, names in os.walk(folder):
        if len(Path(place).relative_to(folder).parts) >= MAX_DEPTH:
            folders.clear()
        folders.sort()
        for name in sorted(names):
            split = split_name(name)
            is_model = name.lower().endswith(".gguf") and "mmproj" not in name.lower()
            if is_model and (split is None or split[1] == 1):
                yield Path(place) / name


def _ollama_files(folder: Path) -> Iterator[Path]:
    """The blobs that Ollama's manifests call a model."""
    for place, _, names in os.walk(folder / "manifests"):
        for name in sorted(names):
            try:
                layers = read_json(Path(place) / name)["layers"]
                digests = [str(layer["digest"]) for layer in layers if layer.get("mediaType") == _OLLAMA_MODEL]
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
            for digest in digests:
                blob = folder / "blobs" / digest.replace(":", "-")
                if blob.parent == folder / "blobs" and blob.is_file():
                    yield blob
