"""The comparison that matters for a pruned model: what its family has ready-made, on the hub, for the same memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.errors import HubError, ModelFileError, OfflineError
from app.fit.drafts import memory_beside
from app.fit.judgement import main_type
from app.hub.draft_suggestions import family_name, smaller_members
from app.hub.endpoint import Hub
from app.hub.listing import open_repository
from app.hub.remote import fetch_stub
from app.hub.repository import ModelFormat, RemoteModel, Repository, RepositorySummary
from app.hub.transport import Call
from app.library.gguf_file import GgufHeader
from app.requests import KvType

LOOKED_AT = 3
"""Repositories, the largest models first: some MB of headers each."""
SAME_MEMORY = 1.1
"""So many times the pruned model's memory still counts as the same."""
_ENOUGH_BITS = ("Q4", "Q5", "Q6", "Q8", "IQ4", "F16", "BF16")
"""Below four bits a small model answers worse than its size would let it."""


@dataclass(frozen=True, slots=True)
class SmallerSibling:
    """A file of a smaller model of the family. Memory by the same rule for both, from their headers alone."""

    repository: str
    label: str
    size_bytes: int
    memory_bytes: int

    @property
    def name(self) -> str:
        """ "Qwen3-0.6B-GGUF Q8_0"."""
        return f"{self.repository.rpartition('/')[2]} {self.label}"


def smaller_sibling(
    hub: Hub,
    name: str,
    pruned: GgufHeader,
    folder: Path,
    context_tokens: int = 4096,
    kv_type: KvType = KvType.F16,
    call: Call | None = None,
) -> SmallerSibling | None:
    """The largest model of the family of `name`, smaller than it, that takes no more memory than the pruned one at this
    context; of its files the largest that fits. None where the name says no family, or the hub has none.

    `folder` keeps headers (`Paths.headers`). Seconds of network: for a thread. Raises OfflineError, HubError where the
    search itself fails, StorageError, Cancelled.
    """
    family = family_name(name)
    if family is None:
        return None
    limit = SAME_MEMORY * memory_beside(pruned, context_tokens, kv_type)
    members = [one for one in smaller_members(hub, family, family.parameters, call) if one[1] < family.parameters]
    largest_first = sorted(members, key=lambda one: -one[1])
    for summary, _ in largest_first[:LOOKED_AT]:
        found = _in_repository(hub, summary, limit, folder, context_tokens, kv_type, call)
        if found is not None:
            return found
    return None


def _in_repository(
    hub: Hub, summary: RepositorySummary, limit: float, folder: Path, context: int, kv_type: KvType, call: Call | None
) -> SmallerSibling | None:
    try:
        repository = open_repository(hub, summary.id, call=call)
        for model in _candidates(repository, limit):
            header = fetch_stub(hub, repository, model, folder, call).header
            memory = memory_beside(header, context, kv_type)
            if memory <= limit:
                return SmallerSibling(summary.id, model.label, model.size_bytes, memory)
    except OfflineError:
        raise
    except (HubError, ModelFileError):
        return None  # gated, gone, or no model: the next smaller one may do
    return None


def _candidates(repository: Repository, limit: float) -> list[RemoteModel]:
    """The two largest single files that may fit: the KV cache and the buffers come on top of the file."""
    usable = [
        model
        for model in repository.models
        if model.format is ModelFormat.GGUF
        and len(model.files) == 1
        and model.size_bytes < limit
        and main_type(model.label).startswith(_ENOUGH_BITS)
    ]
    return sorted(usable, key=lambda model: -model.size_bytes)[:2]
