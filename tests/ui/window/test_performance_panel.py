"""The panel renders what the engine says, against the target, at its own pace."""

from __future__ import annotations

import dataclasses

import pytest

from app.engine.messages import MemoryNeed, PromptReady, Token
from app.operation import Progress, Stage
from tests.ui.fake_engine import SAMPLE_MODEL, SAMPLE_STATISTICS, Answer, EngineState, FakeEngine
from tests.ui.scenes import sample_memory
from tests.ui.seen import clock_of
from ui.window.performance_panel import REPAINT_MS, SHOWN_TOKENS, WIDTH, PerformancePanel, SpeedPlot


@pytest.fixture
def panel(qtbot, loaded_engine: FakeEngine) -> PerformancePanel:
    panel = PerformancePanel(loaded_engine, 200)
    qtbot.addWidget(panel)
    return panel


def repaint(panel: PerformancePanel) -> None:
    """Time passes: what was heard meanwhile is shown."""
    clock_of(panel).timeout.emit()


def answer(engine: FakeEngine, panel: PerformancePanel, ms: float, tokens: int = 30) -> None:
    engine.prompt_ready.emit(PromptReady(830, 812, 0, 4096))
    for _ in range(tokens):
        engine.token.emit(Token("x", ms))
    repaint(panel)


def test_speed_is_said_against_the_target_in_words(panel: PerformancePanel, loaded_engine: FakeEngine) -> None:
    answer(loaded_engine, panel, 86)
    assert (panel.figure.text(), panel.verdict.text()) == ("86", "under the target of 200 ms")
    assert panel.rate.text() == "11.6 tokens/s"
    answer(loaded_engine, panel, 264)
    assert (panel.figure.text(), panel.verdict.text()) == ("264", "over the target of 200 ms")


def test_new_target_is_measured_against_at_once(panel: PerformancePanel, loaded_engine: FakeEngine) -> None:
    answer(loaded_engine, panel, 86)
    panel.set_target(50)
    assert panel.verdict.text() == "over the target of 50 ms"


def test_first_token_is_not_in_the_plot(panel: PerformancePanel, loaded_engine: FakeEngine) -> None:
    loaded_engine.prompt_ready.emit(PromptReady(10, 0, 0, 4096))
    loaded_engine.token.emit(Token("a", 0.4))
    loaded_engine.token.emit(Token("b", 80.0))
    assert panel.plot.values == (80.0,)


def test_reused_tokens_are_said(panel: PerformancePanel, loaded_engine: FakeEngine) -> None:
    loaded_engine.prompt_ready.emit(PromptReady(1830, 1812, 0, 4096))
    assert panel.prompt.text() == "reused 1,812 of 1,830 tokens"


def test_statistics_of_the_answer_stand_at_its_end(panel: PerformancePanel, loaded_engine: FakeEngine, qtbot) -> None:
    loaded_engine.answers.append(Answer(("a", "b", "c"), ms=500))
    with qtbot.waitSignal(loaded_engine.answer_ended):
        loaded_engine.generate(None)
    assert panel.first_token.text() == "241 ms"
    assert panel.figure.text() == "86"
    assert panel.rate.text() == "11.6 tokens/s"


def test_rate_of_the_answer_outlives_the_next_repaint(panel: PerformancePanel, loaded_engine: FakeEngine) -> None:
    answer(loaded_engine, panel, 50)
    loaded_engine.answer_finished.emit(dataclasses.replace(SAMPLE_STATISTICS, tokens_per_second=9.5))
    repaint(panel)
    assert panel.rate.text() == "9.5 tokens/s"
    answer(loaded_engine, panel, 50)
    assert panel.rate.text() == "20.0 tokens/s"


def test_both_figures_say_the_same_speed(panel: PerformancePanel, loaded_engine: FakeEngine) -> None:
    """One slow token among many is in the mean and not in the median."""
    loaded_engine.prompt_ready.emit(PromptReady(830, 812, 0, 4096))
    for ms in (4.0, 4.0, 4.0, 4.0, 24.0):
        loaded_engine.token.emit(Token("x", ms))
    repaint(panel)
    assert (panel.figure.text(), panel.rate.text()) == ("9.0", "111.1 tokens/s")
    statistics = dataclasses.replace(SAMPLE_STATISTICS, ms_per_token_median=3.9, tokens_per_second=165.9)
    loaded_engine.answer_finished.emit(statistics)
    assert (panel.figure.text(), panel.rate.text()) == ("6.0", "165.9 tokens/s")


def test_answer_of_no_tokens_leaves_the_figures_empty(panel: PerformancePanel, loaded_engine: FakeEngine) -> None:
    nothing = dataclasses.replace(SAMPLE_STATISTICS, new_tokens=0, ms_per_token_median=0.0, tokens_per_second=0.0)
    loaded_engine.answer_finished.emit(nothing)
    assert panel.figure.text() == "–"
    assert panel.first_token.text() == "–"


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(Stage.PREFILL, 512, 2112), "Reading the prompt: 512 of 2,112 tokens"),
        (Progress(Stage.LOAD, 430, 1000), "Loading the model: 43 %"),
        (Progress(Stage.MEASURE_THREADS, 3, 6), "Measuring threads: 50 %"),
        (Progress(Stage.WARM_UP, 0, 0), "Warming up"),
    ],
)
def test_stage_is_said_in_words(panel: PerformancePanel, loaded_engine: FakeEngine, progress, words: str) -> None:
    loaded_engine.progress.emit(progress)
    repaint(panel)
    assert panel.state.text() == words


def test_stage_ends_with_the_state(panel: PerformancePanel, loaded_engine: FakeEngine) -> None:
    loaded_engine.progress.emit(Progress(Stage.LOAD, 430, 1000))
    loaded_engine.state_changed.emit(EngineState.READY)
    repaint(panel)
    assert panel.state.text() == "Ready"
    assert panel.progress.isHidden()


def test_threads_in_use_are_those_of_the_model(panel: PerformancePanel, loaded_engine: FakeEngine) -> None:
    assert panel.threads.text() == "2 answering, 2 reading"
    loaded_engine.state_changed.emit(EngineState.EMPTY)
    assert panel.threads.text() == "–"


def test_a_thousand_tokens_are_one_repaint(panel: PerformancePanel, loaded_engine: FakeEngine) -> None:
    for _ in range(1000):
        loaded_engine.token.emit(Token("x", 4.0))
    assert panel.figure.text() == "–"
    assert clock_of(panel).isActive()
    assert clock_of(panel).interval() == REPAINT_MS >= 100
    repaint(panel)
    assert panel.figure.text() == "4.0"


def test_prediction_stands_beside_what_is_measured(panel: PerformancePanel) -> None:
    panel.show_memory(sample_memory(SAMPLE_MODEL.need.total_bytes + 90_000_000))
    assert panel.engine_memory.text() == "The engine: 2.0 GB, predicted 1.9 GB"


def test_prediction_of_a_large_model_is_not_cut_off(panel: PerformancePanel) -> None:
    panel.show_memory(sample_memory(98_000_000_000))
    margins = panel.layout().contentsMargins()
    assert panel.engine_memory.sizeHint().width() <= WIDTH - margins.left() - margins.right()


def test_prediction_is_that_of_the_question_before_loading(panel: PerformancePanel, loaded_engine: FakeEngine) -> None:
    need = MemoryNeed(22_000_000, 13_000_000, 16_000_000)
    loaded_engine.model_loaded.emit(dataclasses.replace(SAMPLE_MODEL, need=need))
    panel.show_memory(sample_memory(80_000_000))
    assert panel.engine_memory.text() == "The engine: 80 MB, predicted 0.1 GB"


@pytest.mark.parametrize("ms", [1.0, 86.0, 199.0, 640.0, 100_000.0])
def test_target_line_is_always_in_sight(qtbot, ms: float) -> None:
    plot = SpeedPlot()
    qtbot.addWidget(plot)
    plot.set_target(200)
    plot.add(ms)
    assert 200 < plot.top_ms() <= 600


def test_plot_keeps_the_newest(qtbot) -> None:
    plot = SpeedPlot()
    qtbot.addWidget(plot)
    for ms in range(SHOWN_TOKENS + 10):
        plot.add(float(ms))
    assert len(plot.values) == SHOWN_TOKENS
    assert plot.values[-1] == SHOWN_TOKENS + 9
