"""The draft of the loaded model: choosing, the verdict, the proof, and what is said of each."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from app.engine.machine_record import DraftChoice, choose_draft, read_choice
from app.engine.messages import (
    CheckDraft,
    CompareDraft,
    Difference,
    DraftCheck,
    DraftFigures,
    DraftLoaded,
    DraftVerdict,
    LoadModel,
    MemoryNeed,
    Message,
    Role,
    Sampling,
    TooLarge,
)
from app.fit.drafts import DraftCandidate
from app.system.paths import Paths
from tests.ui.fake_engine import SAMPLE_MODEL, FakeEngine
from ui.chat.message_body import GuessedView, merged
from ui.drafts.choice import Drafts
from ui.drafts.picker import DraftingRows, DraftPicker
from ui.drafts.words import check_words, gain, row_of, verdict_words
from ui.errors import NoticeBar
from ui.models.models_model import ModelsModel
from ui.window.main_window import TooLargeBar
from workers.current_model import CurrentModel
from workers.settings_store import SettingsStore
from workers.tasks import TaskRunner

MODEL, DRAFT = SAMPLE_MODEL.path, Path("/models/qwen/Qwen3-0.6B-Q8_0.gguf")
WITH_DRAFT = dataclasses.replace(
    SAMPLE_MODEL, draft=DraftLoaded(DRAFT, "Qwen3 0.6B", MemoryNeed(600, 100, 100), 20.0), prompt_lookup=True
)
CANDIDATES = (
    DraftCandidate(DRAFT, "Qwen3 0.6B", "", 10**9, 1.62),
    DraftCandidate(Path("/models/b.gguf"), "Other", "token 139 is different"),
)
FASTER = DraftVerdict(10.0, 17.0, 0.71, 2.6, 4, 96)
SLOWER = DraftVerdict(10.0, 9.0, 0.2, 1.1, 4, 96)
LAST = (Message(Role.USER, "What is a monad?"),)


class Room:
    """The controller with what it works on."""

    def __init__(self, engine: FakeEngine, settings: SettingsStore, tasks: TaskRunner, paths: Paths) -> None:
        self.engine, self.paths = engine, paths
        self.asked: tuple[tuple[Message, ...], Sampling] = ((), Sampling())
        self.picker, self.notice, self.models = DraftPicker(), NoticeBar(), ModelsModel()

        def chosen(model: Path) -> Path | None:
            draft = read_choice(paths.drafts, model).draft
            return Path(draft) if draft else None

        self.current = CurrentModel(engine, settings, chosen_draft=chosen)
        self.drafts = Drafts(
            self.picker, engine, self.current, self.models, settings, tasks, paths, self.notice, lambda: self.asked
        )

    def load(self, model: object = SAMPLE_MODEL) -> None:
        self.engine.load_outcomes.append(model)
        self.current.load(MODEL)
        self.engine.step()

    def list_candidates(self) -> None:
        self.drafts.show_candidates(MODEL, CANDIDATES)

    def pick(self, row: int) -> None:
        self.picker.popup.list.clicked.emit(self.picker.popup.list.model().index(row, 0))

    def loads(self) -> list[LoadModel]:
        return [arguments[0] for name, arguments in self.engine.calls if name == "load"]

    def trials(self) -> list[object]:
        return [arguments[0] for name, arguments in self.engine.calls if name == "try_draft"]


@pytest.fixture
def room(engine: FakeEngine, settings: SettingsStore, tasks: TaskRunner, paths: Paths) -> Room:
    engine.hold = True
    return Room(engine, settings, tasks, paths)


def test_without_a_model_there_is_nothing_to_choose(room: Room) -> None:
    assert not room.picker.isEnabled()
    assert room.picker.text() == "No draft"


def test_the_list_says_what_can_draft_and_why_not(room: Room) -> None:
    room.load()
    room.list_candidates()
    none, small, other = room.picker.popup.rows
    assert (none.path, none.title) == (None, "No draft model")
    assert small.words == "about 1.6 ×"
    assert not other.usable
    assert other.facts == "Cannot draft: token 139 is different"


def test_what_cannot_draft_cannot_be_picked(room: Room) -> None:
    room.load()
    room.list_candidates()
    room.pick(2)
    assert len(room.loads()) == 1


def test_picking_a_draft_loads_with_it_and_measures_on_the_last_question(room: Room) -> None:
    room.load()
    room.list_candidates()
    room.asked = (LAST, Sampling(temperature=0.3))
    room.engine.load_outcomes.append(WITH_DRAFT)
    room.pick(1)
    assert room.loads()[-1].draft == DRAFT
    assert room.trials() == []
    room.engine.step()
    assert room.trials() == [CompareDraft(LAST, Sampling(temperature=0.3))]
    assert room.picker.text().startswith("Draft: Qwen3 0.6B")


def test_before_the_first_question_it_measures_on_a_sample(room: Room) -> None:
    room.load(WITH_DRAFT)
    room.drafts.measure()
    (trial,) = room.trials()
    assert isinstance(trial, CompareDraft)
    assert trial.messages[-1].role is Role.USER


def test_the_choice_is_remembered_and_not_measured_again(room: Room) -> None:
    choose_draft(room.paths.drafts, MODEL, DRAFT)
    room.load(WITH_DRAFT)
    assert room.loads()[-1].draft == DRAFT
    assert room.trials() == []


def test_a_faster_draft_stays_and_its_gain_is_shown(room: Room) -> None:
    room.load(WITH_DRAFT)
    room.engine.draft_verdict.emit(FASTER)
    assert read_choice(room.paths.drafts, MODEL).ratios == {str(DRAFT): 1.7}
    assert room.picker.text().endswith("1.7 ×")
    assert room.picker.popup.verdict.text().startswith("1.7 × faster here: on.")
    assert len(room.loads()) == 1


def test_a_slower_draft_is_switched_off_and_it_is_said(room: Room) -> None:
    choose_draft(room.paths.drafts, MODEL, DRAFT)
    room.load(WITH_DRAFT)
    room.engine.draft_verdict.emit(SLOWER)
    assert read_choice(room.paths.drafts, MODEL) == DraftChoice("", {str(DRAFT): 0.9})
    assert room.loads()[-1].draft is None
    assert room.picker.popup.verdict.text().startswith("0.9 ×: off")


def test_no_draft_is_a_choice(room: Room) -> None:
    choose_draft(room.paths.drafts, MODEL, DRAFT)
    room.load(WITH_DRAFT)
    room.drafts.choose(None)
    assert room.loads()[-1].draft is None
    room.engine.step()
    assert room.trials() == []


def test_the_check_is_asked_for_and_its_result_told(room: Room) -> None:
    room.load(WITH_DRAFT)
    room.picker.popup.check.click()
    assert room.trials() == [CheckDraft()]
    room.engine.draft_checked.emit(DraftCheck(20, 1280, 740, ()))
    assert room.picker.popup.verdict.text() == "Identical in 20 of 20 answers (1,280 tokens, 740 from the draft)."
    assert room.notice.sentence.startswith(f"Draft for {WITH_DRAFT.name}: Identical in 20 of 20")


def test_a_draft_left_out_at_the_load_is_said(room: Room) -> None:
    problem = "Loaded without the draft model small: token 139 is different."
    room.load(dataclasses.replace(SAMPLE_MODEL, draft_problem=problem))
    assert not room.notice.isHidden()


def test_measuring_needs_something_that_drafts(room: Room) -> None:
    room.load()
    assert not room.picker.popup.measure.isEnabled()
    room.load(WITH_DRAFT)
    assert room.picker.popup.measure.isEnabled()


def test_a_draft_that_does_not_fit_can_be_left_out(room: Room, qapp: object) -> None:
    bar, left_out = TooLargeBar(), []
    bar.without_draft.connect(lambda: left_out.append(True))
    bar.ask(TooLarge(MODEL, MemoryNeed(10, 10, 10, draft_bytes=10), 20, "It needs more."), 4096)
    buttons = {button.text(): button for button in bar.findChildren(type(room.picker.popup.check))}
    buttons["Load without the draft"].click()
    assert left_out == [True]
    alone = TooLargeBar()
    alone.ask(TooLarge(MODEL, MemoryNeed(10, 10, 10), 20, "It needs more."), 4096)
    assert "Load without the draft" not in [b.text() for b in alone.findChildren(type(room.picker.popup.check))]


def test_load_without_the_draft_is_for_this_time_only(room: Room) -> None:
    choose_draft(room.paths.drafts, MODEL, DRAFT)
    room.load(WITH_DRAFT)
    room.current.load_without_draft()
    assert room.loads()[-1].draft is None
    room.engine.step()
    assert not room.current.needs_reload
    room.current.reload()
    assert room.loads()[-1].draft == DRAFT


ROUNDING = Difference("Why?", 3, " a", " the", 4e-4)
FAULT = Difference("Why?", 3, " a", " the", 0.4)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (DraftCheck(20, 900, 0, ()), "nothing was checked"),
        (DraftCheck(20, 900, 400, (ROUNDING,)), "Identical in 19 of 20"),
        (DraftCheck(20, 900, 400, (ROUNDING,)), "that is rounding"),
        (DraftCheck(20, 900, 400, (ROUNDING, FAULT)), "This is a fault in Bantam"),
    ],
)
def test_the_proof_in_words(check: DraftCheck, words: str) -> None:
    assert words in check_words(check)


@pytest.mark.parametrize(("ratio", "text"), [(None, ""), (1.66, "1.7 ×"), (0.94, "0.9 ×"), (12.2, "12 ×")])
def test_a_gain_in_words(ratio: float | None, text: str) -> None:
    assert gain(ratio) == text


def test_a_measured_gain_takes_the_place_of_the_predicted_one() -> None:
    assert row_of(CANDIDATES[0], 0.9).words == "0.9 ×"
    assert row_of(CANDIDATES[0], 0.9).tone == "warning"
    assert "measured here" in row_of(CANDIDATES[0], 1.8).facts


def test_a_verdict_names_both_speeds() -> None:
    assert "17.0 tokens/s against 10.0" in verdict_words(FASTER)


def test_what_gains_nothing_is_off_and_so_it_is_said() -> None:
    hardly = dataclasses.replace(FASTER, speculative_tokens_per_second=10.2)
    nothing_guessed = dataclasses.replace(FASTER, acceptance=0.0)
    for verdict in (hardly, nothing_guessed):
        assert not verdict.pays
        assert "off, because it gains nothing here" in verdict_words(verdict)
    assert row_of(CANDIDATES[0], 1.02).tone == "warning"


@pytest.fixture
def rows(qapp: object) -> DraftingRows:
    return DraftingRows()


def test_the_panel_has_no_rows_without_drafts(rows: DraftingRows) -> None:
    rows.show_sources(SAMPLE_MODEL)
    assert rows.isHidden()


def test_the_panel_shows_what_is_known(rows: DraftingRows) -> None:
    rows.show_sources(WITH_DRAFT)
    assert not rows.isHidden()
    rows.show_figures(DraftFigures(True, 3, 1, 2, 3, 50.0, 80.0))
    assert rows.acceptance.text() == "–"  # of three tokens a share says nothing
    assert rows.speed_up.text() == "–"
    rows.show_figures(DraftFigures(True, 200, 150, 100, 250, 50.0, 80.0))
    assert [label.text() for label in (rows.acceptance, rows.per_step, rows.speed_up)] == ["75 %", "2.5", "1.60 ×"]
    assert rows.state.accessibleName() == "Qwen3 0.6B"


def test_the_panel_says_when_drafting_is_off(rows: DraftingRows) -> None:
    rows.show_sources(WITH_DRAFT)
    rows.show_figures(DraftFigures(False, 20, 1, 60, 61, 82.0, 80.0))
    assert rows.state.accessibleName().startswith("off")


def test_neighbours_of_the_same_kind_are_one_piece() -> None:
    pieces = [("a", True), ("b", True), ("", False), ("c", False), ("d", True)]
    assert merged(pieces) == [("ab", True), ("c", False), ("d", True)]


def test_guessed_words_are_tinted_and_underlined(qapp: object, theme: object) -> None:
    view = GuessedView()
    view.show_pieces([("He ", False), ("said", True)], 2, 1)
    assert view.text.toPlainText() == "He said"
    assert view.count.text() == "1 of 2 tokens came from the draft (50 %)"
    cursor = view.text.textCursor()
    underlined = []
    for position in (1, 5):
        cursor.setPosition(position)
        underlined.append(cursor.charFormat().fontUnderline())
    assert underlined == [False, True]


def test_the_popup_is_reached_and_left_by_the_keyboard(room: Room) -> None:
    room.load()
    room.list_candidates()
    assert room.picker.accessibleName() == "No draft"
    assert room.picker.popup.list.accessibleName()
    index = room.picker.popup.list.model().index(1, 0)
    assert "Qwen3 0.6B" in index.data(0x000B)  # AccessibleTextRole
