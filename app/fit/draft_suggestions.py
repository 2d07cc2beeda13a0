"""Smaller models of the same family on the hub that could draft for a model, checked before they are downloaded.

A family is told by its name and a size by the word for it ("Qwen2.5-7B-Instruct": the family is Qwen2.5). Names only
choose what is looked at; whether a model can draft is said by its header and its vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.engine.messages import PROCESS_BYTES, KvType
from app.errors import Cancelled, GatedError, HubError, ModelFileError, OfflineError
from app.fit.drafts import AS_LARGE, header_problem, memory_beside
from app.fit.judgement import MemoryBudget
from app.fit.verdict import Verdict, at_a_glance
from app.hub.remote import fetch_stub
from app.hub.repository import (
    Gate,
    ModelFormat,
    RemoteModel,
    Repository,
    RepositorySummary,
    SearchQuery,
    open_repository,
    search,
)
from app.hub.transport import Call, Hub
from app.library.library import ModelEntry
from app.library.vocabulary import Vocabulary, read_vocabulary, vocabulary_problem

MOST = 5
"""Repositories whose headers are read: some MB each."""
RESULTS = 100
"""The number of results of one search, the most downloaded first."""

_SIZE = re.compile(r"(?<![0-9A-Za-z.])[Ee]?(\d{1,4}(?:\.\d{1,3})?)([BMbm])(?![0-9A-Za-z])")
_MINOR = re.compile(r"(\d)\.\d+")
_MAKERS = frozenset({"meta"})
"""Words before the name of a family that are there of some of its members only: Meta-Llama-3.1-8B, Llama-3.2-1B."""
_NO_DIFFERENCE = frozenset({"gguf", "imatrix", "i1"})
_LABELS = ("Q4_0", "Q4_K_M", "Q4_K_S", "Q8_0", "Q5_K_M", "Q6_K")
"""What is taken of a repository: a draft has to be fast first of all."""


@dataclass(frozen=True, slots=True)
class DraftSuggestion:
    """A model on the hub, as a draft. `problem` is "" where it can draft, else the reason, without a full stop.

    `file` and `label` name it in its repository: what a download is asked for with.
    """

    repository: str
    label: str
    file: str
    size_bytes: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FamilyName:
    """What a model's name says: `words` before its size, in lower case, and `rest`, the words after it."""

    words: tuple[str, ...]
    parameters: float
    rest: frozenset[str]

    @property
    def generation(self) -> tuple[str, ...]:
        """The words without minor versions: those that share it often have the same vocabulary."""
        return tuple(_MINOR.sub(r"\1", word) for word in self.words)


def family_name(name: str) -> FamilyName | None:
    """Read the name of a model, a file or a repository (without its owner); None where it says no size."""
    match = _SIZE.search(name)
    words = _words(name[: match.start()]) if match else ()
    while len(words) > 1 and words[0] in _MAKERS:
        words = words[1:]
    if match is None or not words:
        return None
    unit = 1e9 if match[2] in "Bb" else 1e6
    rest = frozenset(_words(name[match.end() :])) - _NO_DIFFERENCE
    return FamilyName(words, float(match[1]) * unit, rest)


def draft_suggestions(
    hub: Hub, target: ModelEntry, folder: Path, call: Call | None = None
) -> tuple[DraftSuggestion, ...]:
    """Find suggestions: at most MOST models, one of each size: those that can draft first, then the smaller first.
    `folder` keeps the
    headers (`Paths.headers`). Empty where the target's name says neither family nor size, or nothing is found.

    Seconds of network: for a thread. What is wrong with one repository is its `problem`. Raises HubError, OfflineError
    where the search itself fails, StorageError, ModelFileError for a target that cannot be read, Cancelled.
    """
    family = family_of(target)
    if family is None or target.header is None:
        return ()
    vocabulary = read_vocabulary(target.path)
    found = [_check(hub, target, vocabulary, one, folder, call) for one in smaller_members(hub, family, call)]
    known = [suggestion for suggestion in found if suggestion is not None]
    return tuple(sorted(known, key=lambda one: (bool(one.problem), one.size_bytes, one.repository)))


def family_of(target: ModelEntry) -> FamilyName | None:
    """The family, from where it came from, else from what it is called."""
    repository = target.origin.repository.rpartition("/")[2] if target.origin else ""
    names = (repository, target.name, target.path.stem, target.header.name if target.header else "")
    return next((family for name in names if (family := family_name(name)) is not None), None)


def smaller_members(hub: Hub, family: FamilyName, call: Call | None) -> tuple[RepositorySummary, ...]:
    """The likeliest repository of each smaller size: of the same version, of the same purpose, the most downloaded."""
    best: dict[float, tuple[tuple[bool, int], RepositorySummary]] = {}
    for one in _found(hub, family, call):
        other = family_name(one.name)
        if other is None or not _is_related(family, other) or other.parameters > AS_LARGE * family.parameters:
            continue
        rank = (other.words[-1] != family.words[-1], len(_purpose(other) ^ _purpose(family)))
        if other.parameters not in best or rank < best[other.parameters][0]:
            best[other.parameters] = (rank, one)
    chosen = sorted(best.items(), key=lambda item: (item[1][0][0], item[0]))
    return tuple(summary for _, (_, summary) in chosen[:MOST])


def _found(hub: Hub, family: FamilyName, call: Call | None) -> Iterable[RepositorySummary]:
    """Results for the version, then for the generation, the most downloaded first. Raises HubError, Cancelled."""
    for words in dict.fromkeys((family.words, family.generation)):
        yield from search(hub, SearchQuery("-".join(words)), limit=RESULTS, call=call).results


def _check(
    hub: Hub, target: ModelEntry, vocabulary: Vocabulary, summary: RepositorySummary, folder: Path, call: Call | None
) -> DraftSuggestion | None:
    """None where the repository holds no model in one GGUF file. Raises OfflineError, StorageError, Cancelled."""
    try:
        repository = open_repository(hub, summary.id, call=call)
    except OfflineError:
        raise
    except HubError:
        return None  # it went between the search and now
    model = _pick(repository.models)
    if model is None:
        return None
    try:
        stub = fetch_stub(hub, repository, model, folder, call)
        assert target.header is not None
        problem = header_problem(target.header, stub.header)
        problem = problem or vocabulary_problem(vocabulary, read_vocabulary(stub.path))
    except OfflineError:
        raise
    except (GatedError, HubError, ModelFileError) as error:
        problem = _clause(error.sentence)
    if call is not None and call.is_cancelled:
        raise Cancelled
    return DraftSuggestion(summary.id, model.label, model.key, model.size_bytes, problem)


def _pick(models: Iterable[RemoteModel]) -> RemoteModel | None:
    """The file that is fastest as a draft, or the smallest of another kind."""
    single = [model for model in models if model.format is ModelFormat.GGUF and len(model.files) == 1]
    by_label = {model.label: model for model in reversed(single)}
    return next((by_label[label] for label in _LABELS if label in by_label), single[0] if single else None)


def _is_related(family: FamilyName, other: FamilyName) -> bool:
    """One's words are the end of the other's: some authors put the maker's name first."""
    left, right = family.generation, other.generation
    shorter = min(len(left), len(right))
    return left[-shorter:] == right[-shorter:]


def _purpose(family: FamilyName) -> frozenset[str]:
    """The words after the size that say what it is for, and not how it was quantized."""
    return frozenset(word for word in family.rest if word.isalpha() and len(word) > 1)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[-_\s]+", text.lower()) if word)


def _clause(sentence: str) -> str:
    """A sentence as the end of another one."""
    return sentence[:1].lower() + sentence[1:].rstrip(".")


# The comparison that matters for a model that was made smaller: ready-made smaller models of the same family, at about
# the same size. Found on the hub by name, judged from their headers; nothing else is downloaded.


MOST_SIBLINGS = 3
"""Models whose headers are read: some MB each."""
_LARGEST = 1.15
"""A share of the result's size: what is larger is not what it is to be compared with."""
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
    """The smaller models for the model `source` that something smaller is made of. `folder` keeps headers
    (`Paths.headers`).

    Seconds of network: for a thread. Without a network it is empty and says so. Raises StorageError, Cancelled.
    """
    family = family_of(source)
    if family is None:
        return Siblings((), "Its name says neither family nor size, so that its smaller siblings cannot be looked for.")
    try:
        members = smaller_members(hub, family, call)
        near = sorted(_near(hub, members, wanted, call), key=lambda one: abs(one[1].size_bytes - wanted.size_bytes))
        found = [_judged(hub, *one, wanted, folder, call) for one in near[:MOST_SIBLINGS]]
    except HubError as error:
        return Siblings((), f"Ready-made smaller models could not be looked for: {error.sentence}")
    models = tuple(sibling for sibling in found if sibling is not None)
    if not models:
        return Siblings((), "The hub has no ready-made smaller model of this family at about this size.")
    return Siblings(models)


def _near(
    hub: Hub, members: tuple[RepositorySummary, ...], wanted: Wanted, call: Call | None
) -> list[tuple[Repository, RemoteModel]]:
    """The file of each repository that comes nearest, where one does. Raises OfflineError, Cancelled."""
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
    """The judgement from its header; None where that cannot be read. Raises OfflineError, StorageError, Cancelled."""
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
