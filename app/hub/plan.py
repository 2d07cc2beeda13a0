"""The way from "this model of that repository" to a plan: which files, into which folder, with how much room beside
them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from app.errors import HubError
from app.hub.messages import DownloadPlan
from app.hub.repository import ModelFormat, RemoteFile, RemoteModel, Repository, check_repository_id, is_safe_path
from app.library.gguf_reader import printable

_BYTES_TO_CONVERT = 1.6
"""A multiple of a safetensors model's size: room for the F16 file of a conversion and for a 4-bit result beside it."""


def make_plan(
    endpoint: str,
    repository: Repository,
    model: RemoteModel,
    models_folder: Path,
    reserve_bytes: int | None = None,
) -> DownloadPlan:
    """The plan for one model. `reserve_bytes` is the room for what is made of it, where that is known.

    Raises HubError for names that cannot be files here.
    """
    check_repository_id(repository.id)
    if reserve_bytes is None:
        original = model.format is ModelFormat.SAFETENSORS
        reserve_bytes = int(model.size_bytes * _BYTES_TO_CONVERT) if original else 0
    plan = DownloadPlan(
        endpoint=endpoint,
        repository=repository.id,
        revision=repository.revision,
        title=f"{repository.summary.name}, {model.label}",
        files=model.files,
        folder=models_folder / repository.id,
        reserve_bytes=reserve_bytes,
    )
    return checked(plan)


def checked(plan: DownloadPlan) -> DownloadPlan:
    """The plan itself, which may come from a file that somebody changed. Raises HubError for hostile names."""
    for file in plan.files:
        if not is_safe_path(file.path):
            raise HubError(
                f"The file name “{printable(file.path)}” in the repository could leave its folder.",
                "Nothing was downloaded. Look for the model from another author.",
            )
    if not plan.files:
        raise HubError("There is nothing to download.")
    return plan


def plan_as_dict(plan: DownloadPlan) -> dict[str, Any]:
    """Plain data, for JSON."""
    return dataclasses.asdict(plan) | {"folder": str(plan.folder)}


def plan_from_dict(data: Any) -> DownloadPlan:
    """The reverse of `plan_as_dict`. Raises KeyError, TypeError or ValueError for another shape, and HubError."""
    files = tuple(
        RemoteFile(str(f["path"]), int(f["size_bytes"]), str(f["sha256"]), str(f["git_sha1"])) for f in data["files"]
    )
    texts = {name: str(data[name]) for name in ("endpoint", "repository", "revision", "title")}
    check_repository_id(texts["repository"])
    plan = DownloadPlan(**texts, files=files, folder=Path(data["folder"]), reserve_bytes=int(data["reserve_bytes"]))
    return checked(plan)
