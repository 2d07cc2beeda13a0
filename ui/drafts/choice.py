"""The draft of the loaded model: what can be one, which is chosen, what it gains, that it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.engine.machine_record import choose_draft, read_choice, remember_ratio
from app.engine.messages import CheckDraft, CompareDraft, DraftCheck, DraftVerdict, Message, ModelLoaded, Role, Sampling
from app.fit.drafts import DraftCandidate, draft_candidates
from ui.drafts.picker import DraftRow
from ui.drafts.words import check_words, gain, notice_of, row_of, verdict_words
from workers.engine.client import EngineState

if TYPE_CHECKING:
    from app.system.paths import Paths
    from ui.drafts.picker import DraftPicker
    from ui.errors import NoticeBar
    from ui.models.models_model import ModelsModel
    from workers.current_model import CurrentModel
    from workers.engine.client import ChatEngine
    from workers.settings_store import SettingsStore
    from workers.tasks import TaskRunner

Asked = Callable[[], tuple[tuple[Message, ...], Sampling]]
"""The open conversation up to the user's last message, empty where there is none, and its sampling."""

_SAMPLE = (Message(Role.USER, "Explain in a few sentences what you can do, and give three examples."),)


class Drafts(QObject):
    """The link between the picker, the engine and what is remembered."""

    def __init__(
        self,
        picker: DraftPicker,
        engine: ChatEngine,
        current: CurrentModel,
        models: ModelsModel,
        settings: SettingsStore,
        tasks: TaskRunner,
        paths: Paths,
        notice: NoticeBar,
        asked: Asked,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._picker, self._engine, self._current = picker, engine, current
        self._models, self._settings, self._tasks = models, settings, tasks
        self._book, self._notice, self._asked = paths.drafts, notice, asked
        self._candidates: tuple[DraftCandidate, ...] = ()
        self._judged: Path | None = None
        """The model that the candidates are for."""
        self._is_new = False
        """The draft was chosen just now: what it gains is measured as soon as it is loaded."""
        self._connect()
        self._show()

    def choose(self, draft: Path | None) -> None:
        """Load the model again with this draft, or without one."""
        model = self._engine.model
        if model is None:
            return
        choose_draft(self._book, model.path, draft)
        self._is_new = draft is not None
        self._say("", "secondary")
        self._current.reload()

    def measure(self) -> None:
        """Compare with and without the draft, on the user's own last question where there is one."""
        messages, sampling = self._asked()
        self._say("", "secondary")
        self._engine.try_draft(CompareDraft(messages or _SAMPLE, sampling))

    def check(self) -> None:
        """Prove that the draft changes nothing."""
        self._say("", "secondary")
        self._engine.try_draft(CheckDraft())

    def show_candidates(self, model: Path, candidates: tuple[DraftCandidate, ...]) -> None:
        """List what can draft for `model`, unless another one has been loaded meanwhile."""
        if self._engine.model is not None and self._engine.model.path == model:
            self._candidates, self._judged = candidates, model
            self._show()

    def _connect(self) -> None:
        popup = self._picker.popup
        self._picker.opening.connect(self._refresh)
        popup.picked.connect(self.choose)
        popup.measure_requested.connect(self.measure)
        popup.check_requested.connect(self.check)
        self._engine.model_loaded.connect(self._on_model_loaded)
        self._engine.state_changed.connect(lambda _state: self._show())
        self._engine.draft_verdict.connect(self._on_verdict)
        self._engine.draft_checked.connect(self._on_checked)

    def _on_model_loaded(self, model: ModelLoaded) -> None:
        is_new, self._is_new = self._is_new, False
        if model.draft_problem:
            self._notice.show_notice(model.draft_problem)
        if self._judged != model.path:
            self._candidates, self._judged = (), None
            self._say("", "secondary")
        self._show()
        if is_new and model.draft is not None:
            self.measure()

    def _refresh(self) -> None:
        """Look again at which models can draft: in a thread, as vocabularies are read."""
        self._show()
        model = self._engine.model
        target = self._models.entry(model.path) if model else None
        if target is None:
            return
        entries, settings = self._models.entries, self._settings.current

        self._tasks.run(
            lambda: draft_candidates(target, entries, settings.context_tokens, settings.kv_type),
            on_result=lambda candidates: self.show_candidates(target.path, candidates),
            receiver=self,
        )

    def _on_verdict(self, verdict: DraftVerdict) -> None:
        model = self._engine.model
        if model is None or model.draft is None:
            self._tell(verdict_words(verdict), verdict.pays)
            return
        remember_ratio(self._book, model.path, model.draft.path, verdict.ratio)
        self._tell(verdict_words(verdict), verdict.pays)
        if not verdict.pays:
            choose_draft(self._book, model.path, None)
            self._current.reload()
        self._show()

    def _on_checked(self, check: DraftCheck) -> None:
        self._tell(check_words(check), check.is_sound)

    def _tell(self, words: str, is_good: bool) -> None:
        """Tell the user in the picker, where it stays, and in the bar, where it is seen."""
        self._say(words, "success" if is_good else "warning")
        model = self._engine.model
        self._notice.show_notice(notice_of(model.name if model is not None else "", words))

    def _say(self, words: str, role: str) -> None:
        self._picker.popup.set_verdict(words, role)

    def _show(self) -> None:
        model = self._engine.model
        draft = model.draft if model else None
        choice = read_choice(self._book, model.path) if model else None
        self._picker.setEnabled(model is not None)
        ratio = choice.ratios.get(str(draft.path)) if choice and draft else None
        self._picker.show_draft(draft.name if draft else "", gain(ratio))
        rows = [self._row_without(model)]
        if self._judged is not None and choice is not None:
            others = (one for one in self._candidates if one.path != self._judged)
            rows += [row_of(one, choice.ratios.get(str(one.path))) for one in others]
        self._picker.popup.set_rows(rows, draft.path if draft else None)
        can_try = model is not None and (draft is not None or model.prompt_lookup)
        self._picker.popup.set_can_try(can_try and self._engine.state is EngineState.READY)

    @staticmethod
    def _row_without(model: ModelLoaded | None) -> DraftRow:
        lookup = model is not None and model.prompt_lookup
        facts = "Guesses only where the text repeats; takes no memory" if lookup else "Every token is computed alone"
        return DraftRow(None, "No draft model", facts)
