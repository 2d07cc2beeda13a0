"""Make: a recipe for one model, what it takes and what comes of it, worked out anew after each change, and Run."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QComboBox, QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.errors import AppError, RecipeError
from app.fit.judgement import MemoryBudget
from app.fit.verdict import ms_text
from app.library.library import ModelEntry
from app.quantize.messages import Offer, Offers
from app.recipe.messages import RecipePlanned
from app.recipe.recipe import PruneStep, Recipe, as_toml, builtin_recipes, read_recipe, write_recipe
from app.recipe.words import notice_words
from app.units import grouped
from ui.errors import BarArea, ErrorBar, NoticeBar
from ui.models.ledger_model import originals_first, source_names
from ui.models.models_model import ModelsModel
from ui.widgets.elided_label import ElidedLabel
from ui.widgets.empty_state import EmptyState
from ui.widgets.figure_table import FigureRow, FigureTable
from ui.words import job_share, job_words, size
from ui.workshop.counterparts import PLAIN_TYPE
from ui.workshop.recipe_editor import RecipeEditor
from ui.workshop.recipe_words import total_words, verdict_words
from workers.jobs import FINAL_JOB_STATES, JobState, JobStatus
from workers.protocol import Failure

_SOON_MS = 400


class RecipePane(QWidget):
    """Asks for plans and jobs; does nothing itself. `head` stands in the page's own head."""

    plan_wanted = Signal(object, object)
    """Path of the model, Recipe that may be planned"""
    run_requested = Signal(object, object)
    """Path of the model, Recipe"""
    cancel_requested = Signal()
    draft_requested = Signal(ModelEntry)
    """ModelEntry of the folder that a draft is to be made of"""
    discover_requested = Signal()
    folder_requested = Signal()

    def __init__(self, models: ModelsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._models = models
        self._entries: tuple[ModelEntry, ...] = ()
        self._plan: RecipePlanned | None = None
        self._offers: dict[Path, dict[str, Offer]] = {}
        self._budget: MemoryBudget | None = None
        self._target_ms = 200.0
        self._job: JobStatus | None = None
        self._problem = ""
        self._wanted: Path | None = None
        """A model that is to be chosen as soon as it is found."""
        self._soon = QTimer(self, singleShot=True, interval=_SOON_MS)
        self._soon.timeout.connect(self._ask)
        self._build()
        models.modelReset.connect(self._on_models_changed)
        models.dataChanged.connect(lambda *_: self._on_models_changed())
        self._on_models_changed()

    @property
    def entry(self) -> ModelEntry | None:
        """The model that the recipe is for."""
        number = self.source.currentIndex()
        return self._entries[number] if 0 <= number < len(self._entries) else None

    def choose(self, path: Path) -> None:
        """Take this model, if it is one that can be pruned: now, or as soon as it is found."""
        number = self.source.findData(str(path))
        self._wanted = path if number < 0 else None
        if number >= 0:
            self.source.setCurrentIndex(number)

    def show_for(self, path: Path, recipe: Recipe) -> None:
        """Show this recipe, for this model."""
        self.choose(path)
        self.editor.show_recipe(recipe)
        self._on_changed()

    def refresh(self) -> None:
        """Ask again for the plan: memory, disk or the measured speed have changed."""
        self._on_changed()

    def show_plan(self, plan: RecipePlanned) -> None:
        """What the last question was answered with; of what has changed since it counts for nothing."""
        if self.entry is None or plan.source != self.entry.path or self._soon.isActive() or self._problem:
            return
        self._plan = plan
        self.editor.show_plans(plan.steps)
        self._show_outcome()

    def show_offers(self, offers: Offers) -> None:
        """What the original, and quantizing it alone, would be."""
        known = self._offers.setdefault(offers.source, {})
        known.update({offer.type: offer for offer in offers.offers})
        self._show_outcome()

    def forget_offers(self) -> None:
        """Their speeds were predicted from another measurement of this computer."""
        self._offers.clear()

    def knows(self, source: Path, type: str) -> bool:
        """Whether `show_offers` has told of this type."""
        return type in self._offers.get(source, {})

    def refuse(self, source: Path, sentence: str) -> None:
        """Nothing can be planned for this model: say why."""
        if self.entry is not None and source == self.entry.path:
            self._set_problem(sentence)

    def set_budget(self, budget: MemoryBudget) -> None:
        """Connected to the memory sampler."""
        self._budget = budget
        if self._plan is not None and self.isVisible():
            self._show_outcome()

    def set_target(self, ms: float) -> None:
        """The user's own limit for a token."""
        self._target_ms = ms
        self._show_outcome()

    def show_job(self, status: JobStatus) -> None:
        """A recipe that waits, runs or has ended."""
        self._job = None if status.state in FINAL_JOB_STATES else status
        self._show_outcome()

    def open_file(self, file: Path) -> None:
        """Show the recipe of a file."""
        try:
            recipe = read_recipe(file)
        except AppError as error:
            self.error.show_failure(Failure(error.sentence, error.hint))
            return
        self.error.hide()
        self.editor.show_recipe(recipe)
        self._on_changed()

    def save_file(self, file: Path) -> None:
        """Write the recipe to a file."""
        try:
            write_recipe(file, self.editor.recipe)
        except AppError as error:
            self.error.show_failure(Failure(error.sentence, error.hint))
            return
        self.notice.show_notice(f"The recipe is in {file}.", stay_ms=8000)

    # what changes

    def _on_models_changed(self) -> None:
        usable = [one for one in self._models.entries if one.is_folder and one.can_quantize and not one.problem]
        found = originals_first(usable)
        chosen = self.source.currentData()
        if found != self._entries:
            before, self._entries = self.entry, found
            self.source.blockSignals(True)
            self.source.clear()
            for entry, name in zip(found, source_names(found), strict=True):
                self.source.addItem(name, str(entry.path))
                self.source.setItemData(self.source.count() - 1, str(entry.path), Qt.ItemDataRole.ToolTipRole)
            self.source.setCurrentIndex(max(0, self.source.findData(chosen)) if found else -1)
            self.source.blockSignals(False)
            if self._wanted is not None:
                self.choose(self._wanted)
            if self.entry != before:
                self._on_source_changed()
        self.empty.setVisible(not found)
        self.whole.setVisible(bool(found))
        for widget in (self.source, self.facts, self.draft):
            widget.setVisible(bool(found))

    def _want_nothing(self) -> None:
        self._wanted = None

    def _on_source_changed(self) -> None:
        entry = self.entry
        self.facts.say(_facts_words(entry) if entry is not None else "")
        self.editor.set_facts(entry.facts if entry is not None else None)
        self._on_changed()

    def _on_changed(self) -> None:
        """Something was edited: what is shown counts no more; ask when the user pauses."""
        self._plan = None
        if problem := self._own_problem():
            self._soon.stop()
            self._set_problem(problem)
            return
        self._problem = ""
        self.editor.wait()
        self._show_outcome()
        self._soon.start()

    def _own_problem(self) -> str:
        """What is wrong with the recipe before anybody is asked."""
        if self.editor.problem:
            return f"One step cannot be carried out: {self.editor.problem}"
        try:
            as_toml(self.editor.recipe)
        except RecipeError as error:
            return f"{error.sentence} {error.hint}".strip()
        return ""

    def _set_problem(self, sentence: str) -> None:
        self._plan, self._problem = None, sentence
        self.editor.show_plans(())
        self._show_outcome()

    def _ask(self) -> None:
        if self.entry is not None and self.isVisible():
            self.plan_wanted.emit(self.entry.path, self.editor.recipe)

    # what is shown

    def _show_outcome(self) -> None:
        plan, job = self._plan, self._job
        problem = self._problem or (plan.problem if plan is not None else "")
        self.outcome.table.show_rows(self._rows())
        total = total_words(plan) if plan is not None and not problem else ""
        if job is not None:
            self.outcome.say(_running_words(job))
        elif problem:
            self.outcome.say(problem, "danger" if self.editor.cards else "secondary")  # an empty one is not wrong yet
        elif plan is None:
            self.outcome.say("Working out what it takes…")
        else:
            words, role = self._verdict(plan)
            notice = notice_words(plan.notice, plan.then, "“Run”")
            self.outcome.say(f"{notice} {words}".strip(), role, total)
        self.outcome.set_running(job is not None, can_run=plan is not None and not problem)

    def _verdict(self, plan: RecipePlanned) -> tuple[str, str]:
        """The verdict of the largest file, which is the hardest to run."""
        if not plan.results or self._budget is None:
            return "It makes a folder of original weights, and no file to chat with.", "secondary"
        largest = max(plan.results, key=lambda result: result.resident_bytes)
        return verdict_words(largest, self._budget, self._target_ms)

    def _rows(self) -> list[FigureRow]:
        entry = self.entry
        if entry is None:
            return []
        offers = self._offers.get(entry.path, {})
        kind = entry.facts.type if entry.facts is not None else ""
        name = ("As it is now" if entry.alteration else "The original") + (f", {kind}" if kind else "")
        rows = [_offer_row(name, entry.size_bytes, offers.get(PLAIN_TYPE))]
        prunes = any(isinstance(step, PruneStep) for step in self.editor.recipe.steps)
        for result in self._plan.results if self._plan is not None else ():
            offer = offers.get(result.type)
            if prunes and offer is not None and result.type != PLAIN_TYPE:
                rows.append(_offer_row(f"{result.type} without pruning", offer.size_bytes, offer))
            ms = "" if result.ms_per_token is None else f"about {ms_text(result.ms_per_token)}"
            memory = f"about {size(result.resident_bytes)}"
            rows.append(FigureRow(f"{result.type} by this recipe", (size(result.size_bytes), memory, ms), strong=True))
        if self._plan is None and not self._problem:
            rows += [FigureRow("By this recipe", ("…", "…", "…"), strong=True)]
        return rows

    # how it is laid out

    def _build(self) -> None:
        self.error, self.notice = ErrorBar(self), NoticeBar(self)
        self.editor = RecipeEditor(builtin_recipes())
        self.editor.changed.connect(self._on_changed)
        self.editor.open_requested.connect(self.open_file)
        self.editor.save_requested.connect(self.save_file)
        self.outcome = RecipeOutcome()
        self.outcome.run_requested.connect(self._on_run)
        self.outcome.cancel_requested.connect(self.cancel_requested)
        self._build_head()
        self._build_empty()
        self.whole = QWidget()
        inside = QVBoxLayout(self.whole)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addWidget(self.editor, 1)
        inside.addWidget(self.outcome)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(BarArea(self.error, self.notice))
        column.addWidget(self.whole, 1)
        column.addWidget(self.empty, 1)

    def _build_head(self) -> None:
        self.source = QComboBox()
        self.source.setAccessibleName("Model to make smaller")
        self.source.setMinimumWidth(160)
        self.source.currentIndexChanged.connect(lambda _number: self._on_source_changed())
        self.source.activated.connect(lambda _number: self._want_nothing())
        self.facts = ElidedLabel("caption")
        self.draft = QPushButton("Make a draft…")
        self.draft.setProperty("role", "quiet")
        self.draft.setToolTip("A small model of its own layers that can make its answers faster")
        self.draft.clicked.connect(lambda: self.draft_requested.emit(self.entry))
        self.head = QWidget()
        row = QHBoxLayout(self.head)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(16)
        row.addWidget(self.source)
        row.addWidget(self.facts, 1)
        row.addWidget(self.draft)
        row.addStretch()

    def _build_empty(self) -> None:
        self.empty = EmptyState("wrench")
        self.empty.say(
            "No original weights yet",
            "A recipe begins with a model as its authors made it: a folder of safetensors, not a file to chat with.\n"
            "On Discover choose “Originals” under the search, open a model and press “Download only”. Or add a folder "
            "that holds one.",
            again=True,
        )
        self.empty.action.setText("Go to Discover")
        self.empty.action.clicked.connect(self.discover_requested)
        self.empty.add_action("Add a folder…").clicked.connect(self.folder_requested)

    def _on_run(self) -> None:
        if self.entry is not None:
            self.error.hide()
            self.run_requested.emit(self.entry.path, self.editor.recipe)

    # Qt overrides

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._plan is None and not self._problem:
            self._soon.start()


def _offer_row(name: str, size_bytes: int, offer: Offer | None) -> FigureRow:
    memory = f"about {size(offer.need.resident_bytes)}" if offer is not None else ""
    ms = f"about {ms_text(offer.ms_per_token)}" if offer is not None and offer.ms_per_token is not None else ""
    return FigureRow(name, (size(size_bytes), memory, ms))


def _facts_words(entry: ModelEntry) -> str:
    """ "1.7 billion weights, 28 layers, 8 KV groups, FFN 6,144 wide"."""
    facts = entry.facts
    if facts is None:
        return size(entry.size_bytes)
    found = [f"{facts.parameters / 1e9:.1f} billion weights" if facts.parameters >= 10**8 else ""]
    found += [f"{facts.parameters / 1e6:.0f} million weights" if 0 < facts.parameters < 10**8 else ""]
    found += [f"{facts.layers} layers" if facts.layers else ""]
    found += [f"FFN {grouped(facts.ffn_width)} wide" if facts.ffn_width else ""]
    return ", ".join(words for words in found if words)


def _running_words(status: JobStatus) -> str:
    if status.state is JobState.QUEUED:
        return "Waits for its turn."
    if status.state is JobState.CANCELLING:
        return "Cancelling…"
    return job_words(status, job_share(status.progress))


# The foot of a recipe: what it will make beside the original, whether that runs well here, and Run.


_TITLES = ("On disk", "Memory", "A token")
_COLUMN_WIDTH = 100
_NAME_WIDTH = 180
"""“Q4_K_M without pruning”."""
_NARROW = 700
_STACKED_HEIGHT = 180
_LEAST_HEIGHT = 102
"""The height for three lines under the titles: the steps above must not jump while a plan is worked out."""


class RecipeOutcome(QWidget):
    """Renders what it is told."""

    run_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = FigureTable(_TITLES, _COLUMN_WIDTH, name_width=_NAME_WIDTH)
        self.verdict, self.total = _wrapped("secondary"), _wrapped("secondary")
        self.verdict.setAccessibleName("Whether the result runs here")
        self.run = QPushButton("Run")
        self.run.setProperty("role", "primary")
        self.run.setToolTip("Carry out all steps, one after the other, as one job")
        self.run.clicked.connect(self.run_requested)
        self.cancel = QPushButton("Cancel")
        self.cancel.clicked.connect(self.cancel_requested)
        self.cancel.hide()
        self._lay_out()
        self.setMinimumSize(1, _LEAST_HEIGHT)  # the width: narrower than both sides together, which then stand stacked

    def say(self, verdict: str, role: str = "secondary", total: str = "") -> None:
        """The sentence beside the table, and what all steps take together."""
        self.verdict.setText(verdict)
        if self.verdict.property("role") != role:
            self.verdict.setProperty("role", role)
            self.verdict.style().polish(self.verdict)
        self.total.setText(total)

    def set_running(self, running: bool, *, can_run: bool) -> None:
        """Which of the two buttons is there."""
        self.run.setVisible(not running)
        self.run.setEnabled(can_run and not running)
        self.cancel.setVisible(running)

    def _lay_out(self) -> None:
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedHeight(1)
        table = QVBoxLayout()
        table.addWidget(self.table)
        table.addStretch()
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.total, 1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.run)
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addWidget(self.verdict, 1, Qt.AlignmentFlag.AlignTop)
        right.addLayout(buttons)
        sides = self._sides = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        sides.setContentsMargins(24, 12, 24, 16)
        sides.setSpacing(32)
        sides.addLayout(table, 6)
        sides.addLayout(right, 5)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(line)
        column.addLayout(sides)

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = self.width() < _NARROW
        self._sides.setDirection(QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight)
        self._sides.setSpacing(8 if narrow else 32)
        self.setMinimumHeight(_STACKED_HEIGHT if narrow else _LEAST_HEIGHT)


def _wrapped(role: str) -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("role", role)
    return label
