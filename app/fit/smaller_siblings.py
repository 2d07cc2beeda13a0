"""The comparison that matters for a model that was made smaller: ready-made smaller models of the same family, at about
the same size. Found on the hub by name, judged from their headers; nothing else is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.engine.messages import KvType
from app.engine.need import PROCESS_BYTES
from app.errors import Cancelled, HubError, ModelFileError, OfflineError
from app.fit.draft_suggestions import family_of, smaller_members
from app.fit.drafts import memory_beside
from app.fit.judgement import MemoryBudget
from app.fit.verdict import Verdict, at_a_glance
from app.hub.endpoint import Hub
from app.hub.listing import open_repository
from app.hub.remote import fetch_stub
from app.hub.repository import Gate, ModelFormat, RemoteModel, Repository, RepositorySummary
from app.hub.transport import Call
from app.library.library import ModelEntry

MOST = 3
"""Models whose headers are read: some MB each."""
_LARGEST = 1.15
"""Of the result's size: what is larger is not what it is to be compared with."""
_LEAST = 0.5
"""A model of half the size is another question."""


@dataclass(frozen=True, slots=True)
class Sibling:
    """A file on the hub. `memory_bytes` is about what it takes; `file` names it in its repository."""

    repository: str
    label: str
    file: str
    size_bytes: int
    memory_bytes: int
    verdict: Verdict
    is_gated: bool = False


@dataclass(frozen=True, slots=True)
class Siblings:
    """The nearest in size first. `sentence` says why there is none; "" otherwise."""

    models: tuple[Sibling, ...]
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What they are compared with: a file of this size, and the settings that a model is loaded with."""

    size_bytes: int
    context_tokens: int
    kv_type: KvType
    budget: MemoryBudget


def smaller_siblings(hub: Hub, source: ModelEntry, wanted: Wanted, folder: Path, call: Call | None = None) -> Siblings:
    """For the model `source` that something smaller is made of. `folder` keeps headers (`Paths.headers`).

    Seconds of network: for a thread. Without a network it is empty and says so. Raises StorageError, Cancelled.
    """
    family = family_of(source)
    if family is None:
        return Siblings((), "Its name says neither family nor size, so that its smaller siblings cannot be looked for.")
    try:
        members = smaller_members(hub, family, call)
        near = sorted(_near(hub, members, wanted, call), key=lambda one: abs(one[1].size_bytes - wanted.size_bytes))
        found = [_judged(hub, *one, wanted, folder, call) for one in near[:MOST]]
    except HubError as error:
        return Siblings((), f"Ready-made smaller models could not be looked for: {error.sentence}")
    models = tuple(sibling for sibling in found if sibling is not None)
    if not models:
        return Siblings((), "The hub has no ready-made smaller model of this family at about this size.")
    return Siblings(models)


def _near(
    hub: Hub, members: tuple[RepositorySummary, ...], wanted: Wanted, call: Call | None
) -> list[tuple[Repository, RemoteModel]]:
    """Of each repository the file that comes nearest, where one does. Raises OfflineError, Cancelled."""
    found = []
    for summary in members:
        if call is not None and call.is_cancelled:
            raise Cancelled
        try:
            repository = open_repository(hub, summary.id, call=call)
        except OfflineError:
            raise
        except HubError:
            continue  # it went between the search and now
        files = [model for model in repository.models if _is_near(model, wanted.size_bytes)]
        if files:
            found.append((repository, min(files, key=lambda model: abs(model.size_bytes - wanted.size_bytes))))
    return found


def _is_near(model: RemoteModel, size_bytes: int) -> bool:
    return model.format is ModelFormat.GGUF and _LEAST * size_bytes <= model.size_bytes <= _LARGEST * size_bytes


def _judged(
    hub: Hub, repository: Repository, model: RemoteModel, wanted: Wanted, folder: Path, call: Call | None
) -> Sibling | None:
    """From its header; None where that cannot be read. Raises OfflineError, StorageError, Cancelled."""
    gated = repository.summary.gate is not Gate.OPEN
    try:
        header = fetch_stub(hub, repository, model, folder, call).header
    except OfflineError:
        raise
    except (HubError, ModelFileError):
        return None
    memory = PROCESS_BYTES + memory_beside(header, wanted.context_tokens, wanted.kv_type)
    budget = wanted.budget
    verdict = at_a_glance(header, wanted.context_tokens, wanted.kv_type, budget.now_bytes, budget.machine_bytes)
    return Sibling(repository.id, model.label, model.key, model.size_bytes, memory, verdict, gated)
