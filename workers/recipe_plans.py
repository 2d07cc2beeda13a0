"""What a recipe would make of a model, what quantizing alone would, what a draft of it promises: asked of a child."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.drafts.messages import DraftsPlanned, MakeDraft, PlanDraft
from app.engine.messages import KvType
from app.errors import StorageError
from app.fit.draft_suggestions import Siblings, Wanted, smaller_siblings
from app.hub.transport import Call, Hub
from app.inspect.messages import Inside, LookAtTensor, LookInside, TensorLook
from app.library.library import ModelEntry
from app.measure.messages import MeasureQuality
from app.operation import Request
from app.quantize.messages import Offers, PlanOffers
from app.recipe.messages import PlanRecipe, RecipePlanned
from app.recipe.recipe import Recipe, as_toml
from app.recipe.work import work_of
from app.system.paths import Paths
from app.system.process_outcome import ProcessOutcome
from workers.jobs import Job
from workers.process import ChildProcess
from workers.protocol import End, Failure, Line, Stop
from workers.tasks import TaskRunner

# Asks a child what would come of something, before it is done. The child is kept warm a while: one looks at a few.


IDLE_MS = 60_000


class PlanningChild(QObject):
    """A child that answers questions. Of each kind the last counts; what was asked before it is not answered any
    more.
    """

    answered = Signal(object)  # any Result
    """The result"""
    refused = Signal(object, str)
    """What was asked about, and why nothing can be told of it, for the user."""
    crash_words = "The engine cannot plan this model"

    def __init__(self, paths: Paths, command: Sequence[str] | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._paths = paths
        self._command = command
        self._child: ChildProcess | None = None
        self._last_id = 0
        self._asked: dict[object, tuple[int, object]] = {}
        """Id and subject of the questions that have no answer yet, by their kind."""
        self._idle = QTimer(self, singleShot=True, interval=IDLE_MS)
        self._idle.timeout.connect(self._end_child)

    def send(self, source: Path, request: Request) -> None:
        """Ask about the model `source`; `answered` or `refused` follows, unless another question of this kind does."""
        self._send(type(request), source, request)

    def _send(self, kind: object, subject: object, request: Request) -> None:
        self._idle.start()
        if self._child is None:
            self._child = ChildProcess(self)
            self._child.line_received.connect(self._on_line)
            self._child.ended.connect(self._on_ended)
            self._child.start_worker(self._paths, self._command)
        if kind in self._asked:
            self._child.send(Line(self._asked[kind][0], Stop()))
        self._last_id += 1
        self._asked[kind] = (self._last_id, subject)
        self._child.send(Line(self._last_id, request))

    def close(self) -> None:
        """Close it for the end of the program."""
        self._idle.stop()
        self._asked.clear()
        if self._child is not None:
            self._child.kill()
            self._child.pump(1000)

    def _on_line(self, line: Line) -> None:
        kind = next((kind for kind, (number, _) in self._asked.items() if number == line.id), None)
        if line.end is None or kind is None:
            return
        _, subject = self._asked.pop(kind)
        if line.end is End.RESULT:
            self.answered.emit(line.value)
        elif line.end is End.FAILED:
            self.refused.emit(subject, f"{line.value.sentence} {line.value.hint}".strip())

    def _on_ended(self, outcome: ProcessOutcome) -> None:
        assert self._child is not None
        self._child.deleteLater()
        self._child = None
        asked, self._asked = self._asked, {}
        for subject in dict.fromkeys(subject for _, subject in asked.values()):
            self.refused.emit(subject, f"{self.crash_words}: {outcome.sentence}")

    def _end_child(self) -> None:
        if self._child is not None and not self._asked:
            self._child.end()
        elif self._child is not None:
            self._idle.start()


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


# A recipe as one job of the window's queue.


def recipe_job(recipe: Recipe, source: Path, folder: Path, paths: Paths) -> Job:
    """The job that makes of the folder `source` what the recipe says, in new folders below `folder`, which is made.

    A cancel keeps what is finished, as a failure does: hours may be in it, and the same recipe goes on from there.
    Raises RecipeError, ConversionError, StorageError.
    """
    work = work_of(recipe, source, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror or error}.") from error
    references = {r.reference for r in work.requests if isinstance(r, MeasureQuality) and r.reference is not None}
    copies = [paths.reference_copy(reference) for reference in references if reference.suffix.lower() != ".gguf"]
    unfinished = (*work.parts, *copies, *(copy.with_name(copy.name + ".part") for copy in copies))
    title = f"{recipe.name}: {source.resolve().name}"
    return Job(title, work.requests, unfinished, stages=work.steps, stage_count=len(recipe.steps))
