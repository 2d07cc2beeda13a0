"""Bars say what happened and what to do; what nobody caught reaches them through the hook."""

from __future__ import annotations

import sys

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication

from app.errors import LoadError
from ui.errors import ErrorBar, ExceptHook, NoticeBar, failure_of
from workers.protocol import Failure


@pytest.fixture
def error_bar(qtbot) -> ErrorBar:
    bar = ErrorBar()
    qtbot.addWidget(bar)
    return bar


@pytest.fixture
def notice_bar(qtbot) -> NoticeBar:
    bar = NoticeBar()
    qtbot.addWidget(bar)
    return bar


def test_own_error_is_shown_in_its_own_words(error_bar: ErrorBar) -> None:
    error_bar.show_failure(failure_of(LoadError("The file is cut off.", "Download it again.")))
    assert (error_bar.sentence, error_bar.hint) == ("The file is cut off.", "Download it again.")
    assert "Copy details" not in error_bar.buttons()


def test_bug_is_shown_with_details_to_copy(error_bar: ErrorBar) -> None:
    error_bar.show_failure(failure_of(KeyError("weights")))
    assert "KeyError" in error_bar.sentence
    error_bar.buttons()["Copy details"].click()
    assert "KeyError: 'weights'" in QGuiApplication.clipboard().text()
    assert not error_bar.isHidden()


def test_sentence_of_a_file_is_plain_text(error_bar: ErrorBar) -> None:
    error_bar.show_failure(Failure("<b>model</b>.gguf is not a model."))
    assert error_bar.sentence == "<b>model</b>.gguf is not a model."


def test_next_failure_replaces_the_buttons(error_bar: ErrorBar) -> None:
    error_bar.show_failure(Failure("First.", "", "trace"))
    error_bar.show_failure(Failure("Second."))
    assert error_bar.buttons() == {}


def test_dismiss_hides_and_says_so(error_bar: ErrorBar, qtbot) -> None:
    error_bar.show_failure(Failure("First."))
    with qtbot.waitSignal(error_bar.dismissed):
        error_bar.dismiss()
    assert error_bar.sentence == ""


def test_button_of_a_notice_does_its_thing_and_is_no_dismissal(notice_bar: NoticeBar, qtbot) -> None:
    pressed: list[str] = []
    notice_bar.show_notice("Deleted.", "Undo", lambda: pressed.append("undo"))
    with qtbot.assertNotEmitted(notice_bar.dismissed):
        notice_bar.buttons()["Undo"].click()
    assert pressed == ["undo"]
    assert notice_bar.isHidden()


def test_notice_goes_by_itself(notice_bar: NoticeBar, qtbot) -> None:
    with qtbot.waitSignal(notice_bar.dismissed):
        notice_bar.show_notice("Deleted.", stay_ms=1)


def test_hook_announces_what_a_slot_raised_and_the_window_goes_on(qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = ExceptHook()
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    hook.install()
    with qtbot.captureExceptions() as raised, qtbot.waitSignal(hook.caught) as caught:
        hook.install()  # captureExceptions has put its own in place
        QTimer.singleShot(0, _raise)
    assert raised == []
    assert "ZeroDivisionError" in caught.args[0].sentence
    assert "Traceback" in caught.args[0].details


def test_failure_of_a_bug_keeps_the_traceback() -> None:
    assert "ValueError: no" in failure_of(ValueError("no")).details


def _raise() -> None:
    raise ZeroDivisionError
