"""The rows of the conversation list."""

from __future__ import annotations

from datetime import datetime

import pytest
from PySide6.QtCore import QModelIndex, Qt
from pytestqt.qtbot import QtBot

from app.chat.conversation import ConversationSummary
from ui.chat.conversations import BUSY_ROLE, SECTION_ROLE, SUMMARY_ROLE, ConversationsModel

NOW = datetime(2026, 3, 2, 15, 0).timestamp()
DAY = 86_400


def rows(*ages: float) -> list[ConversationSummary]:
    return [ConversationSummary(f"id{i}", f"title {i}", NOW - age * DAY, "Qwen") for i, age in enumerate(ages)]


@pytest.fixture
def model(qapp: object) -> ConversationsModel:
    return ConversationsModel(clock=lambda: NOW)


def test_a_row_is_its_summary(model: ConversationsModel) -> None:
    summaries = rows(0, 1)
    model.set_rows(summaries)
    assert model.index(1).data(SUMMARY_ROLE) is summaries[1]
    assert model.index(1).data() == "title 1"


def test_days_head_their_first_row(model: ConversationsModel) -> None:
    model.set_rows(rows(0, 0.1, 1, 5, 400))
    sections = [model.index(row).data(SECTION_ROLE) for row in range(5)]
    assert sections == ["Today", "", "Yesterday", "Earlier", ""]


def test_search_results_have_no_days(model: ConversationsModel) -> None:
    model.set_rows(rows(0, 5), grouped=False)
    assert model.index(0).data(SECTION_ROLE) == ""


def test_older_ones_are_asked_for_once_a_page(model: ConversationsModel, qtbot: QtBot) -> None:
    model.set_rows(rows(0, 1), page=2)
    with qtbot.waitSignal(model.more_wanted) as wanted:
        assert model.canFetchMore(QModelIndex())
        model.fetchMore(QModelIndex())
    assert wanted.args == [2]
    assert not model.canFetchMore(QModelIndex())
    model.add_page([ConversationSummary("new", "older", 0, "")], page=2)
    assert model.rowCount() == 3
    assert not model.canFetchMore(QModelIndex())


def test_a_row_that_is_there_already_is_not_added_twice(model: ConversationsModel) -> None:
    model.set_rows(rows(0, 1), page=2)
    model.add_page(rows(0, 1), page=2)
    assert model.rowCount() == 2


def test_the_same_rows_reset_nothing(model: ConversationsModel, qtbot: QtBot) -> None:
    model.set_rows(rows(0, 1))
    with qtbot.assertNotEmitted(model.modelReset), qtbot.waitSignal(model.dataChanged):
        model.set_rows(rows(0, 1))


def test_busy_rows_say_so(model: ConversationsModel) -> None:
    model.set_rows(rows(0, 1))
    model.set_busy(frozenset({"id1"}))
    assert [model.index(row).data(BUSY_ROLE) for row in range(2)] == [False, True]
    assert "being answered" in model.index(1).data(Qt.ItemDataRole.AccessibleTextRole)


def test_an_edited_title_is_asked_for(model: ConversationsModel, qtbot: QtBot) -> None:
    model.set_rows(rows(0))
    with qtbot.waitSignal(model.rename_wanted) as wanted:
        model.setData(model.index(0), "  another ")
    assert wanted.args == ["id0", "another"]
    with qtbot.assertNotEmitted(model.rename_wanted):
        model.setData(model.index(0), "title 0")
