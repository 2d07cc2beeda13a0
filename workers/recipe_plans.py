"""What a recipe would make of a model, what quantizing alone would, what a draft of it promises: asked of a child."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.drafts.messages import DraftsPlanned, MakeDraft, PlanDraft
from app.engine.messages import KvType
from app.fit.draft_suggestions import Siblings, Wanted, smaller_siblings
from app.hub.transport import Call, Hub
from app.inspect.messages import Inside, LookAtTensor, LookInside, TensorLook
from app.library.library import ModelEntry
from app.quantize.messages import Offers, PlanOffers
from app.recipe.messages import PlanRecipe, RecipePlanned
from app.recipe.recipe import Recipe, as_toml
from app.system.paths import Paths
from workers.protocol import Failure
from workers.tasks import TaskRunner
from workers.warm_child import PlanningChild


class RecipePlans(QObject):
    """`planned` or `refused` follows each question, unless another one does."""

    planned = Signal(RecipePlanned)
    """RecipePlanned"""
    offered = Signal(Offers)
    """Offers: the original as it is, to put the result beside"""
    drafts_planned = Signal(DraftsPlanned)
    """DraftsPlanned"""
    drafts_refused = Signal(object, str)
    """Path of the model, and why no draft can be made of it"""
    refused = Signal(object, str)
    """Path of the model, and why nothing can be planned for it"""

    def __init__(self, paths: Paths, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._child = PlanningChild(paths, parent=self)
        self._child.answered.connect(self._on_answered)
        self._child.refused.connect(self.refused)
        self._drafts = PlanningChild(paths, parent=self)
        self._drafts.answered.connect(self.drafts_planned)
        self._drafts.refused.connect(self.drafts_refused)

    def plan(self, source: Path, recipe: Recipe, context_tokens: int) -> None:
        """Raises RecipeError for what is no recipe."""
        self._child.send(source, PlanRecipe(source, as_toml(recipe), context_tokens))

    def offers(self, source: Path, types: tuple[str, ...], context_tokens: int, kv_type: KvType) -> None:
        """What these types of the original would be."""
        self._child.send(source, PlanOffers(source, types, context_tokens, kv_type))

    def drafts(self, draft: MakeDraft) -> None:
        """What drafts of each number of layers promise."""
        self._drafts.send(draft.source, PlanDraft(draft))

    def close(self) -> None:
        """Close it for the end of the program."""
        self._child.close()
        self._drafts.close()

    def _on_answered(self, answer: object) -> None:
        if isinstance(answer, RecipePlanned):
            self.planned.emit(answer)
        elif isinstance(answer, Offers):
            self.offered.emit(answer)


# Asks a child about the inside of a model. The child is kept warm a while: tensors are looked at in turn.


Question = LookInside | LookAtTensor


class InsideService(PlanningChild):
    """The last question counts, of whatever kind; `refused` carries the question itself."""

    listed = Signal(Inside)
    """Inside"""
    looked = Signal(TensorLook)
    """TensorLook"""
    crash_words = "The engine cannot look inside this model"

    def __init__(self, paths: Paths, command: Sequence[str] | None = None, parent: QObject | None = None) -> None:
        super().__init__(paths, command, parent)
        self.answered.connect(self._on_answered)

    def ask(self, question: Question) -> None:
        """One of the signals follows, unless another question does."""
        self._send(InsideService, question, question)

    def _on_answered(self, answer: object) -> None:
        if isinstance(answer, Inside):
            self.listed.emit(answer)
        elif isinstance(answer, TensorLook):
            self.looked.emit(answer)


# What quantizing a model would make, asked of a child.


class OfferService(PlanningChild):
    """`answered` carries Offers."""

    def ask(self, source: Path, types: tuple[str, ...], context_tokens: int, kv_type: KvType) -> None:
        """Plan these types."""
        self.send(source, PlanOffers(source, types, context_tokens, kv_type))


# Looks on the hub for a ready-made smaller model to put beside a pruned one; stale answers are dropped.


class ReadyMade(QObject):
    """One question at a time; the next cuts off the last. What was found is remembered until the program ends."""

    answered = Signal(object, object)
    """Path of the pruned model, Siblings."""
    failed = Signal(object, object)
    """Path of the pruned model, Failure."""

    def __init__(self, paths: Paths, tasks: TaskRunner, hub: Callable[[], Hub], parent: QObject | None = None) -> None:
        """`hub` is called in a thread: its token may come from a keyring."""
        super().__init__(parent)
        self._paths, self._tasks, self._hub = paths, tasks, hub
        self._call = Call()
        self._known: dict[tuple[Path, Path], Siblings] = {}

    def look(self, path: Path, source: ModelEntry, wanted: Wanted) -> None:
        """Look for what is ready-made in place of the pruned model at `path`, made of `source`."""
        self._call.cancel()
        if (path, source.path) in self._known:
            self.answered.emit(path, self._known[path, source.path])
            return
        self._call = call = Call()
        self._tasks.run(
            lambda: smaller_siblings(self._hub(), source, wanted, self._paths.headers, call),
            on_result=partial(self._on_found, call, path, source.path),
            on_error=partial(self._on_failed, call, path),
            receiver=self,
        )

    def close(self) -> None:
        """Close it for the end of the program: whoever waits for an answer is woken."""
        self._call.cancel()

    def _on_found(self, call: Call, path: Path, source: Path, found: Siblings) -> None:
        if found.models:  # what is not there now may be there when the network is
            self._known[path, source] = found
        if call is self._call:
            self.answered.emit(path, found)

    def _on_failed(self, call: Call, path: Path, failure: Failure) -> None:
        if call is self._call:
            self.failed.emit(path, failure)
