"""What "Make a draft…" sets off: the dialog, plans from a child, one job, and what it gained in the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from app.drafts.messages import DraftCost, DraftMade, DraftOption, DraftsPlanned, MakeDraft, default_draft, workspace
from app.engine.messages import PAYS_FROM
from app.library.library import ModelEntry
from app.measure.families import families
from app.recover.messages import OVERNIGHT_TOKENS, SHORT_TOKENS
from ui.drafts.words import cost_words, made_words, notice_of, option_words, promise_words
from ui.widgets.fields import ChoiceBox
from ui.words import BUDGET_WORDS, KEPT
from workers.jobs import Job, JobState, JobStatus

if TYPE_CHECKING:
    from pathlib import Path

    from ui.errors import WindowBars
    from ui.models.models_model import ModelsModel
    from workers.services import Services


_USUAL = "Q4_K_M"


class DraftMaking(QObject):
    """The slots. Lives as long as the services."""

    def __init__(self, services: Services, models: ModelsModel, window: QWidget, bars: WindowBars) -> None:
        super().__init__(services)
        self._services, self._models, self._window, self._bars = services, models, window, bars
        self._dialog: DraftDialog | None = None
        hub = services.hub
        hub.recipes.drafts_planned.connect(self._on_planned)
        hub.recipes.drafts_refused.connect(self._on_refused)

    def open(self, entry: ModelEntry) -> DraftDialog:
        """Show the dialog for this folder of original weights."""
        self._dialog = DraftDialog(entry, self._targets(entry), self._window)
        self._dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._dialog.plan_wanted.connect(self._services.hub.recipes.drafts)
        self._dialog.requested.connect(self._on_requested)
        self._dialog.finished.connect(self._on_closed)
        self._dialog.begin()
        self._dialog.open()
        return self._dialog

    def _targets(self, entry: ModelEntry) -> list[ModelEntry]:
        """The files that were made of this folder, nothing taken away: the one in memory first, then the usual type."""
        found = families(self._models.entries, {})
        family = next((one for one in found if one.source.entry.path == entry.path), None)
        rows = family.variants if family is not None else ()
        usable = [row.entry for row in rows if row.entry.can_load and not row.entry.is_altered]
        loaded = self._models.loaded
        return sorted(usable, key=lambda one: (one.path != loaded, one.header.quantization != _USUAL, one.size_bytes))

    def _on_planned(self, plan: DraftsPlanned) -> None:
        if self._dialog is not None:
            self._dialog.show_plan(plan)

    def _on_refused(self, source: Path, sentence: str) -> None:
        if self._dialog is not None and self._dialog.request().source == source:
            self._dialog.refuse(sentence)

    def _on_closed(self) -> None:
        self._dialog = None

    def _on_requested(self, request: MakeDraft) -> None:
        part = request.output.with_name(f"{request.output.name}.part")
        title = f"Making {request.output.name}"
        job = Job(title, (request,), (part,), (workspace(request),), has_own_words=True)
        self._services.hub.jobs.add(job).ended.connect(self._on_ended)

    def _on_ended(self, status: JobStatus) -> None:
        bars = self._bars
        self._services.library.refresh()
        if status.state is JobState.DONE and isinstance(status.result, DraftMade):
            bars.notice.show_notice(notice_of(_request(status).target.name, made_words(status.result, PAYS_FROM)))
        elif status.failure is not None:
            hint = f"{status.failure.hint} {KEPT}".strip()
            bars.show_failure(dataclasses.replace(status.failure, hint=hint))
            bars.error.add_button("Run again", lambda: self._on_requested(_request(status)))


def _request(status: JobStatus) -> MakeDraft:
    (request,) = status.job.requests
    assert isinstance(request, MakeDraft)
    return request


# A draft made of the model itself: for which file, how deep, how long it learns, and what that promises.


_WIDTH = 560
_TYPES = {"Q8_0": "Q8_0: guesses best", "Q4_0": "Q4_0: half the size, guesses a little worse"}
_BEST = 0
EXPLANATION = (
    "A few layers of the model itself learn to guess its next words; the model checks them all at once. "
    "Its answers stay the same, word for word; where many guesses are right, they come faster."
)
NO_TARGET = "A draft is for a file to chat with. Make a Q4 or a Q8 of this model first, then come back."


class DraftDialog(QDialog):
    """Asks for plans while it is open, and announces one request."""

    plan_wanted = Signal(MakeDraft)
    """MakeDraft"""
    requested = Signal(MakeDraft)
    """MakeDraft"""

    def __init__(self, entry: ModelEntry, targets: Sequence[ModelEntry], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry = entry
        self._options: tuple[DraftOption, ...] = ()
        self._costs: tuple[DraftCost, ...] = ()
        self.setWindowTitle(f"Make a draft of {entry.name}")
        self.setFixedWidth(_WIDTH)
        names = {target.path: target.path.name for target in targets}
        self.target = ChoiceBox("File that it drafts for", names, lambda _path: self._ask())
        self.type = ChoiceBox("Type of the draft's file", _TYPES, lambda _type: self._ask())
        self.layers = ChoiceBox("Layers that are kept", {}, lambda _layers: self._show_promise())
        budgets = {tokens: BUDGET_WORDS[tokens] for tokens in (SHORT_TOKENS, OVERNIGHT_TOKENS)}
        self.budget = ChoiceBox("How long it learns", budgets, lambda _tokens: self._ask())
        self.promise, self.cost = _wrapped("What the draft promises"), _wrapped("What making it takes")
        self._lay_out()
        self._say("Working out what it promises…" if targets else NO_TARGET)
        self.make.setEnabled(False)

    def request(self) -> MakeDraft:
        """The request as the fields say now; the layers that promise most are left to the operation."""
        kind = self.type.value
        return MakeDraft(
            self._entry.path,
            self.target.value,
            default_draft(self._entry.path, kind),
            layers=self.layers.value or _BEST,
            type=kind,
            budget_tokens=self.budget.value,
        )

    def begin(self) -> None:
        """Ask for the first plan."""
        if self.target.values:
            self._ask()

    def show_plan(self, plan: DraftsPlanned) -> None:
        """What the answer promises; one to an earlier question counts for nothing."""
        asked = (self.target.value, self.type.value, self.budget.value)
        if (plan.draft.target, plan.draft.type, plan.draft.budget_tokens) != asked:
            return
        self._options, self._costs = plan.options, plan.costs
        of = len(plan.options) + 1
        chosen = self.layers.value
        self.layers.offer({option.layers: option_words(option, of) for option in plan.options})
        self.layers.choose(chosen if chosen in self.layers.values else self._best().layers)
        self.layers.setEnabled(True)
        self._show_promise()

    def refuse(self, sentence: str) -> None:
        """No draft can be made: say why."""
        self._say(sentence, "danger")
        self.cost.setText("")
        self.make.setEnabled(False)

    def accept(self) -> None:
        self.requested.emit(self.request())
        super().accept()

    def _best(self) -> DraftOption:
        return max(self._options, key=lambda option: (option.speed_up, -option.layers))

    def _ask(self) -> None:
        self.make.setEnabled(False)
        self._say("Working out what it promises and takes…")
        self.cost.setText("")
        self.plan_wanted.emit(self.request())

    def _show_promise(self) -> None:
        found = zip(self._options, self._costs, strict=True)
        option, cost = next((both for both in found if both[0].layers == self.layers.value), (None, None))
        if option is None or cost is None:
            return
        output = default_draft(self._entry.path, self.type.value)
        if output.exists():
            self.refuse(f"“{output.name}” is there already. Delete it on the Models page first.")
            return
        if cost.problem:
            self.refuse(cost.problem)
            return
        self._say(*promise_words(option))
        self.cost.setText(cost_words(cost))
        self.make.setEnabled(True)
        self.make.setText("Make the draft" if option.speed_up > 1 else "Make it all the same")

    def _say(self, words: str, role: str = "secondary") -> None:
        self.promise.setText(words)
        self.promise.setProperty("role", role)
        self.promise.style().polish(self.promise)

    def _lay_out(self) -> None:
        explanation = QLabel(EXPLANATION)
        explanation.setWordWrap(True)
        explanation.setProperty("role", "secondary")
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(8)
        for word, box in (("For", self.target), ("Keep", self.layers), ("File", self.type), ("Learn", self.budget)):
            form.addRow(word, box)
        self.layers.setEnabled(False)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self.make = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        self.make.setText("Make the draft")
        self.make.setProperty("role", "primary")
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.promise.setMinimumHeight(36)
        self.cost.setProperty("role", "secondary")
        self.cost.setMinimumHeight(36)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 16, 24, 16)
        column.setSpacing(16)
        for item in (explanation, form, self.promise, self.cost, self.buttons):
            column.addLayout(item) if isinstance(item, QFormLayout) else column.addWidget(item)


def _wrapped(name: str) -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setAccessibleName(name)
    return label
