"""The window as a whole, on a fake engine: keys, bars, panel, what it remembers, how it ends."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QSize, Qt

from app.engine.messages import MemoryNeed, TooLarge
from app.settings import Theme, WindowState, load_window_state, save_window_state
from app.system.paths import STARTER_MODEL, Paths
from tests.ui.fake_engine import SAMPLE_MODEL, EngineState, FakeEngine
from ui.look.theme import DARK, ThemeWatcher, tokens
from ui.program import Program
from ui.startup.restore import geometry_bytes
from ui.window.main_window import SMALLEST, usual_size
from workers.protocol import Failure


@pytest.fixture
def engine(qapp) -> FakeEngine:
    engine = FakeEngine()
    engine.hold = True
    return engine


@pytest.fixture
def program(qtbot, engine: FakeEngine, theme: ThemeWatcher, paths: Paths) -> Iterator[Program]:
    program = Program(paths, theme, engine)
    qtbot.addWidget(program.window)
    program.show()
    program.window.activateWindow()
    qtbot.waitUntil(lambda: bool(program.models.entries))
    yield program
    program.window.hide()
    program.end()


def press(qtbot, program: Program, keys: str) -> None:
    qtbot.keySequence(program.window, keys)


def test_starter_is_loaded_after_the_first_paint(program: Program, engine: FakeEngine) -> None:
    assert [call[1][0].path for call in engine.calls if call[0] == "load"] == [STARTER_MODEL]
    assert program.window.top.state.text() == "Loading the model"


@pytest.mark.parametrize(
    ("screen", "window"), [((1920, 1080), (1280, 800)), ((1366, 768), (1280, 728)), ((800, 480), SMALLEST)]
)
def test_the_first_window_is_no_larger_than_the_screen(screen: tuple[int, int], window: tuple[int, int]) -> None:
    assert usual_size(QSize(*screen)).toTuple() == window


def test_keys_change_the_page(program: Program, qtbot) -> None:
    for number in (2, 3, 1):
        press(qtbot, program, f"Ctrl+{number}")
        assert program.window.pages.currentIndex() == number - 1


def test_f9_hides_the_panel_and_is_remembered(program: Program, qtbot) -> None:
    assert program.window.panel.isVisible()
    press(qtbot, program, "F9")
    assert not program.window.panel.isVisible()
    assert program.state.current.show_performance_panel is False


def test_escape_stops_a_load(program: Program, engine: FakeEngine, qtbot) -> None:
    press(qtbot, program, "Esc")
    assert ("stop", ()) in engine.calls
    assert engine.state is EngineState.EMPTY
    assert program.window.top.state.text() == "No model loaded"


def test_escape_does_nothing_when_nothing_runs(program: Program, engine: FakeEngine, qtbot) -> None:
    engine.step()
    press(qtbot, program, "Esc")
    assert ("stop", ()) not in engine.calls


def test_picker_opens_by_key_and_loads(program: Program, engine: FakeEngine, qtbot) -> None:
    engine.step()
    press(qtbot, program, "Ctrl+L")
    popup = program.window.top.picker.popup()
    assert popup.isVisible()
    qtbot.keyClick(popup.filter, Qt.Key.Key_Return)
    assert [call[0] for call in engine.calls].count("load") == 2


def test_ctrl_f_reaches_the_filter_of_the_page(program: Program, qtbot) -> None:
    press(qtbot, program, "Ctrl+3")
    press(qtbot, program, "Ctrl+F")
    assert program.models_page.filter.hasFocus()


def test_too_large_is_a_question_with_three_answers(program: Program, engine: FakeEngine) -> None:
    need = MemoryNeed(7_600_000_000, 1_100_000_000, 500_000_000)
    question = TooLarge(Path("/big.gguf"), need, 8_600_000_000, "It needs 9.2 GB; 8.6 GB are free.")
    engine.load_outcomes.append(question)
    engine.step()
    bar = program.window.too_large
    assert bar.sentence == "It needs 9.2 GB; 8.6 GB are free."
    assert list(bar.buttons()) == ["Use a smaller context (1,280 tokens)", "Load anyway", "Cancel"]
    bar.buttons()["Load anyway"].click()
    assert engine.calls[-1][1][0].load_anyway
    assert bar.isHidden()


def test_smaller_context_is_loaded(program: Program, engine: FakeEngine) -> None:
    need = MemoryNeed(7_600_000_000, 1_100_000_000, 500_000_000)
    engine.load_outcomes.append(TooLarge(Path("/big.gguf"), need, 8_600_000_000, "Too large."))
    engine.step()
    next(iter(program.window.too_large.buttons().values())).click()
    assert engine.calls[-1][1][0].context_tokens == 1280


def test_crash_is_shown_with_a_way_on(program: Program, engine: FakeEngine) -> None:
    engine.step()
    engine.crash("The engine was ended by SIGKILL.", "Take a smaller model.")
    bar = program.window.error
    assert (bar.sentence, bar.hint) == ("The engine was ended by SIGKILL.", "Take a smaller model.")
    bar.buttons()["Load the model again"].click()
    assert engine.state is EngineState.LOADING
    assert bar.isHidden()


def test_failed_load_leaves_the_picker_empty(program: Program, engine: FakeEngine) -> None:
    engine.load_outcomes.append(Failure("The file is cut off.", "Download it again."))
    engine.step()
    assert program.window.error.sentence == "The file is cut off."
    assert program.window.top.picker.text() == "Choose a model"


def test_loaded_model_is_marked_and_remembered(program: Program, engine: FakeEngine) -> None:
    engine.step()
    assert program.window.top.picker.text().startswith(SAMPLE_MODEL.name)
    assert program.state.current.last_model == str(STARTER_MODEL)


def test_theme_follows_the_setting(program: Program) -> None:
    program.settings.update(theme=Theme.DARK)
    assert tokens() is DARK


def test_second_start_raises_the_window(program: Program) -> None:
    program.window.showMinimized()
    program.window.raise_to_front()
    assert not program.window.isMinimized()


def test_end_closes_the_engine_and_remembers_the_place(program: Program, engine: FakeEngine, paths: Paths) -> None:
    program.window.resize(1000, 700)
    program.window.hide()
    program.end()
    assert ("close", ()) in engine.calls
    assert geometry_bytes(load_window_state(paths.home / "window.json", paths.settings).geometry)


def test_close_hides_first(program: Program, engine: FakeEngine, qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(engine, "close", lambda: seen.append(program.window.isVisible()))
    monkeypatch.setattr("ui.program.QApplication.quit", lambda: None)
    program.window.close()
    qtbot.waitUntil(lambda: bool(seen))
    assert seen == [False]


def test_suspect_model_is_not_loaded_until_asked(qtbot, engine: FakeEngine, theme: ThemeWatcher, paths: Paths) -> None:
    dead = next(pid for pid in range(4_000_000, 1, -1) if not psutil.pid_exists(pid))
    marker = {"pid": dead, "path": str(STARTER_MODEL), "stage": "load", "safe_mode": False}
    paths.loading_marker.write_text(json.dumps(marker))
    save_window_state(paths.window_state, WindowState(last_model=str(STARTER_MODEL)))
    program = Program(paths, theme, engine)
    qtbot.addWidget(program.window)
    program.show()
    qtbot.waitUntil(lambda: program.window.notice.sentence != "")
    assert "was not loaded again" in program.window.notice.sentence
    assert not any(call[0] == "load" for call in engine.calls)
    assert program.state.current.last_model == ""
    program.window.notice.buttons()["Load it anyway"].click()
    assert engine.calls[-1][1][0].path == STARTER_MODEL
    program.window.hide()
    program.end()


def test_marker_is_gone_after_an_end_in_order(program: Program, paths: Paths) -> None:
    marker = {"pid": 2**22 - 7, "path": "/a.gguf", "stage": "load", "safe_mode": False}
    paths.loading_marker.write_text(json.dumps(marker))
    program.window.hide()
    program.end()
    assert not paths.loading_marker.exists()


def test_damaged_window_state_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "window.json"
    for damaged in (b"", b"[]", b'{"geometry": 7}', b"\xff", b'{"geometry": "%%%"}'):
        path.write_bytes(damaged)
        assert geometry_bytes(load_window_state(path, tmp_path / "settings.json").geometry) in (b"", b"\xeb")
    save_window_state(path, WindowState(base64.b64encode(b"place").decode()))
    assert geometry_bytes(load_window_state(path, tmp_path / "settings.json").geometry) == b"place"
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".part"] == []
