"""What is in a repository: its files at one commit, and the models among them that Bantam can use."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from app.hub.endpoint import Hub
from app.hub.names import check_repository_id, gguf_name, is_safe_path
from app.hub.repository import Gate, ModelFormat, RemoteFile, RemoteModel, Repository, RepositorySummary
from app.hub.transport import Call, Transport
from app.library.gguf_reader import printable
from app.library.split import split_name

ORIGINAL = "Original weights"
MAX_FILES = 20_000
MAX_FILE_BYTES = 1 << 44

CONVERSION_FILES = frozenset(
    {
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
        "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
        "chat_template.json", "model.safetensors.index.json",
    }
)  # fmt: skip
"""What a conversion reads beside the weights."""

_NO_MODEL = ("mmproj", "imatrix", "ggml-vocab")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def open_repository(hub: Hub, repository: str, revision: str = "main", call: Call | None = None) -> Repository:
    """The repository at its newest commit, or at `revision`. Raises HubError, OfflineError, Cancelled."""
    path = f"/api/models/{check_repository_id(repository)}"
    if revision != "main":
        path += f"/revision/{revision}"
    with Transport(hub, call) as transport:
        facts, _ = transport.get_json(path, {"blobs": "true"})
    return repository_of(facts if isinstance(facts, dict) else {}, repository)


def repository_of(facts: Mapping[str, Any], repository: str) -> Repository:
    """The repository that the hub describes; what does not make sense in the description is left out."""
    siblings = facts.get("siblings")
    listed = siblings[:MAX_FILES] if isinstance(siblings, list) else []
    files = [file for entry in listed if (file := _file(entry)) is not None]
    models = tuple(sorted((*_gguf_models(files), *_safetensors_model(files)), key=lambda model: model.size_bytes))
    revision = facts.get("sha")
    card = facts.get("cardData")
    base = card.get("base_model") if isinstance(card, dict) else None
    base = base[0] if isinstance(base, list) and base else base
    return Repository(
        summary=summary_of(facts, repository),
        revision=revision if isinstance(revision, str) and revision.isalnum() and len(revision) <= 64 else "main",
        models=models,
        total_files=len(listed),
        problem="" if models else _problem(files),
        base_model=printable(base, 100) if isinstance(base, str) else "",
    )


def summary_of(facts: Mapping[str, Any], repository: str = "") -> RepositorySummary:
    """The row of a search that the hub's description gives."""
    tags = [tag for tag in facts.get("tags") or () if isinstance(tag, str)]
    licence = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")
    gate = facts.get("gated")
    return RepositorySummary(
        id=str(facts.get("id") or repository),
        formats=tuple(kind for kind in ModelFormat if kind.value in tags),
        downloads=_count(facts.get("downloads")),
        likes=_count(facts.get("likes")),
        updated=printable(str(facts.get("lastModified") or ""))[:10],
        parameters=_parameters(facts),
        license=printable(licence, 40),
        gate=Gate(gate) if gate in ("auto", "manual") else Gate.OPEN,
    )


def _file(entry: object) -> RemoteFile | None:
    if not isinstance(entry, dict):
        return None
    path, size, lfs = entry.get("rfilename"), entry.get("size"), entry.get("lfs")
    if not isinstance(path, str) or not is_safe_path(path):
        return None
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < MAX_FILE_BYTES:
        return None
    sha256 = lfs.get("sha256") if isinstance(lfs, dict) else ""
    return RemoteFile(path, size, _hexadecimal(sha256, 64), _hexadecimal(entry.get("blobId"), 40))


def _gguf_models(files: list[RemoteFile]) -> list[RemoteModel]:
    """GGUF files, those of a split model together where all of its parts are listed."""
    wanted = [f for f in files if f.name.lower().endswith(".gguf") and not any(w in f.name.lower() for w in _NO_MODEL)]
    names = {file.path: gguf_name(file.path) for file in wanted}
    models = []
    for _, group in itertools.groupby(sorted(wanted, key=lambda f: f.path), lambda f: names[f.path].model):
        parts = tuple(group)
        if _is_complete(parts):
            name = names[parts[0].path]
            models.append(RemoteModel(ModelFormat.GGUF, name.label, parts, name.family))
    return models


def _is_complete(parts: tuple[RemoteFile, ...]) -> bool:
    splits = [split_name(part.name) for part in parts]
    if splits == [None]:
        return True
    return [split[1] if split else 0 for split in splits] == list(range(1, (splits[0] or ("", 0, 0))[2] + 1))


def _safetensors_model(files: list[RemoteFile]) -> list[RemoteModel]:
    """What a conversion reads, at the top of the repository only: copies in other formats lie in folders."""
    top = {file.path: file for file in files if "/" not in file.path}
    weights = [file for path, file in top.items() if path.endswith(".safetensors")]
    models = [file for file in weights if file.path == "model.safetensors" or file.path.startswith("model-")]
    if not models or "config.json" not in top:
        return []
    rest = [file for path, file in top.items() if path in CONVERSION_FILES]
    rest.sort(key=lambda file: (file.path != "config.json", file.path))
    return [RemoteModel(ModelFormat.SAFETENSORS, ORIGINAL, (*rest, *sorted(models, key=lambda f: f.path)))]


def _problem(files: list[RemoteFile]) -> str:
    names = [file.name.lower() for file in files]
    if any(name == "adapter_config.json" for name in names):
        return "This is an adapter (LoRA) for a model, not a model."
    if any(name.endswith(".gguf") for name in names):
        return "The GGUF files here are parts of models, or do not belong to a chat model."
    if any(name.endswith(_PICKLES) for name in names):
        return "The weights here are PyTorch pickles, which can run code on your computer. Bantam does not open them."
    return "There is no model here that Bantam can use: it looks for GGUF and safetensors files."


def _parameters(facts: Mapping[str, Any]) -> int:
    for key in ("gguf", "safetensors"):
        part = facts.get(key)
        if isinstance(part, dict) and (count := _count(part.get("total"))):
            return count
    return 0


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else 0


def _hexadecimal(value: object, length: int) -> str:
    if isinstance(value, str) and len(value) == length and not set(value.lower()) - set("0123456789abcdef"):
        return value.lower()
    return ""
