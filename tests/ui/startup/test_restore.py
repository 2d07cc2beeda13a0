"""The window comes back as it was left, on a screen that is there."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import shiboken6
from PySide6.QtCore import QRect
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.chat.store import ChatStore
from app.diagnostics.last_run import BadEnd, End
from app.settings import WindowState, load_window_state
from app.system.paths import STARTER_MODEL, Paths
from tests.ui.fake_engine import FakeEngine
from ui.look.theme import ThemeWatcher
from ui.navigation import Page
from ui.program import Program
from ui.startup.application import Application
from ui.startup.restore import can_be_taken, place
from ui.startup.single_instance import Visit

TIMEOUT_MS = 20_000
SCREENS = (QRect(0, 0, 1920, 1040), QRect(1920, 0, 1280, 1024))


@pytest.fixture
def begin(qtbot: QtBot, theme: ThemeWatcher, paths: Paths) -> Iterator[Callable[..., Program]]:
    """A run that ends when the next begins."""
    runs: list[Program] = []

    def end() -> None:
        if runs:
            program = runs.pop()
            program.window.hide()
            for tasks in (program.tasks, program.hub.lookups):
                tasks.close(TIMEOUT_MS)  # deleted before they have ended, they could not say so
            program.end()
            shiboken6.delete(program)

    def start(file: Path | None = None, bad_end: BadEnd | None = None) -> Program:
        end()
        engine = FakeEngine()
        engine.hold = True
        program = Program(paths, theme, engine)
        qtbot.addWidget(program.window)
        program.show(file, bad_end)
        runs.append(program)
        qtbot.waitUntil(lambda: bool(program.models.entries), timeout=TIMEOUT_MS)
        return program

    yield start
    end()


@pytest.mark.parametrize(
    ("window", "taken"),
    [
        (QRect(100, 100, 1280, 800), True),
        (QRect(1800, 100, 1280, 800), True),
        (QRect(5000, 100, 1280, 800), False),
        (QRect(-1200, 100, 1280, 800), False),
        (QRect(100, -500, 1280, 800), False),
        (QRect(100, 1030, 1280, 800), False),
    ],
)
def test_a_window_whose_top_is_on_no_screen_cannot_be_taken(window: QRect, taken: bool) -> None:
    assert can_be_taken(window, SCREENS) is taken


def test_a_window_of_a_screen_that_has_gone_comes_back(qtbot: QtBot) -> None:
    old, new = QWidget(), QWidget()
    for window in (old, new):
        qtbot.addWidget(window)
    old.setGeometry(9000, 7000, 700, 500)
    place(new, bytes(old.saveGeometry().data()))
    assert can_be_taken(new.geometry(), [new.screen().availableGeometry()])


def test_page_and_chat_are_restored(begin, qtbot: QtBot) -> None:
    program = begin()
    asked: list[str] = []

    def ask(store) -> str:
        conversation = store.create()
        store.add_user_message(conversation.id, None, "Where was I?")
        return conversation.id

    program.storage.run(ask, asked.append)
    qtbot.waitUntil(lambda: bool(asked), timeout=TIMEOUT_MS)
    program.chat_page.open(asked[0])
    qtbot.waitUntil(lambda: program.chat_page.conversation.id == asked[0], timeout=TIMEOUT_MS)
    program.window.show_page(Page.MODELS)
    program = begin()
    qtbot.waitUntil(lambda: program.chat_page.conversation.id == asked[0], timeout=TIMEOUT_MS)
    assert program.window.pages.currentIndex() == Page.MODELS
    program.storage.run(lambda store: store.delete(asked[0]))
    program = begin()
    page = program.chat_page
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.empty, timeout=TIMEOUT_MS)
    assert page.conversation.id == ""


def test_what_was_not_sent_is_there_after_a_restart(begin, qtbot: QtBot) -> None:
    program = begin()
    program.chat_page.composer.set_text("half a question")
    assert program.chat_page.composer.text == "half a question"
    program = begin()
    qtbot.waitUntil(lambda: program.chat_page.composer.text == "half a question", timeout=TIMEOUT_MS)


def test_what_was_typed_meanwhile_is_not_taken_away(begin, qtbot: QtBot, paths: Paths) -> None:
    program = begin()
    page = program.chat_page
    page.composer.set_text("quick")
    from ui.startup.restore import restore_chat

    restore_chat(page, program.storage, "gone")
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.empty, timeout=TIMEOUT_MS)
    assert page.composer.text == "quick"


def test_a_file_that_was_opened_is_loaded_instead_of_the_last_model(begin, qtbot: QtBot, tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.symlink_to(STARTER_MODEL)
    program = begin(file)
    qtbot.waitUntil(lambda: program.current.request is not None, timeout=TIMEOUT_MS)
    assert program.current.request.path == file
    assert program.settings.current.model_files == (str(file),)


def test_a_second_start_opens_its_file_in_this_window(begin, qtbot: QtBot, tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.symlink_to(STARTER_MODEL)
    program = begin()
    program.window.show_page(Page.MODELS)
    program.receive(Visit("", file))
    qtbot.waitUntil(lambda: program.current.request.path == file, timeout=TIMEOUT_MS)
    assert program.window.pages.currentIndex() == Page.CHAT


def test_a_file_that_is_no_model_is_told_and_not_added(begin, qtbot: QtBot, tmp_path: Path) -> None:
    file = tmp_path / "page.gguf"
    file.write_text("<html>not found</html>")
    program = begin()
    program.receive(Visit("", file))
    qtbot.waitUntil(lambda: "“page.gguf” was not opened." in program.window.error.sentence, timeout=TIMEOUT_MS)
    assert program.settings.current.model_files == ()


def test_a_file_of_nonsense_is_named_once(begin, qtbot: QtBot, tmp_path: Path) -> None:
    file = tmp_path / "noise.gguf"
    file.write_bytes(bytes(range(1, 256)) * 9)
    program = begin()
    program.receive(Visit("", file))
    qtbot.waitUntil(lambda: "noise.gguf" in program.window.error.sentence, timeout=TIMEOUT_MS)
    assert program.window.error.sentence.count("noise.gguf") == 1
    assert "not a GGUF model" in program.window.error.sentence


def test_a_start_with_a_file_that_is_not_there_has_a_model_all_the_same(begin, qtbot: QtBot, tmp_path: Path) -> None:
    program = begin(tmp_path / "away.gguf")
    qtbot.waitUntil(lambda: program.current.request is not None, timeout=TIMEOUT_MS)
    assert program.window.error.sentence == "The file “away.gguf” is not there."
    assert program.current.request.path == STARTER_MODEL


def test_another_version_that_was_started_is_named(begin) -> None:
    program = begin()
    program.receive(Visit("9.9"))
    assert "Bantam 9.9 was started while this one" in program.window.notice.sentence


def test_a_bad_end_is_told(begin) -> None:
    program = begin(None, BadEnd(End.KILLED))
    assert "ended from outside" in program.window.notice.sentence


def test_chats_of_a_newer_version_are_a_sentence_and_the_rest_works(begin, qtbot: QtBot, paths: Paths) -> None:
    ChatStore(paths.chats).close()
    with contextlib.closing(sqlite3.connect(paths.chats)) as db:
        db.execute("PRAGMA user_version = 9")
    content = paths.chats.read_bytes()
    program = begin()
    qtbot.waitUntil(lambda: "newer Bantam" in program.chat_page.error.sentence, timeout=TIMEOUT_MS)
    assert "left as they are" in program.chat_page.error.hint
    assert program.current.request.path == STARTER_MODEL
    assert paths.chats.read_bytes() == content


def test_a_file_that_macos_hands_over_is_announced(qapp) -> None:
    """The event itself; the application of the tests is another one."""
    heard: list[Path] = []
    application = SimpleNamespace(file_opened=SimpleNamespace(emit=heard.append))
    assert Application.event(application, QFileOpenEvent("/models/a b.gguf"))  # type: ignore[arg-type]
    assert heard == [Path("/models/a b.gguf")]


def test_a_state_of_an_older_version_is_only_a_place(tmp_path: Path) -> None:
    file = tmp_path / "window.json"
    file.write_text('{"geometry": "cGxhY2U="}')
    assert load_window_state(file, tmp_path / "settings.json") == WindowState("cGxhY2U=")
    file.write_text('{"geometry": "", "page": -3, "conversation": 7}')
    assert load_window_state(file, tmp_path / "settings.json").conversation == ""
