"""At the smallest window, and with the side panel open, no button is cut and no choice is unreadable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QRect
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QStyle,
    QStyleOptionComboBox,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.library.messages import VerifyModel
from app.settings import Theme
from app.system.paths import STARTER_MODEL
from tests.ui.scenes import Stage, models, models_broken
from tests.ui.scenes_discover import discover_files, discover_sum
from tests.ui.scenes_ledger import models_tree, models_tree_source
from tests.ui.scenes_recipe import compared, recipe, recipe_layers, recipe_sparse
from ui.look.theme import ThemeWatcher
from ui.window.main_window import SMALLEST
from workers.jobs import Job, JobState, JobStatus

Scene = Callable[[Stage], QWidget | None]
SCENES = (
    models, models_broken, models_tree, models_tree_source, discover_files, discover_sum,
    recipe, recipe_layers, recipe_sparse, compared,
)  # fmt: skip


@pytest.fixture
def stage(qtbot: QtBot, theme: ThemeWatcher, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(theme, Theme.LIGHT, tmp_path)
    yield stage
    stage.close()


def cut(root: QWidget) -> list[str]:
    """The words of what is narrower than its words, or stands partly outside of what it lies in."""
    buttons = [b for b in root.findChildren(QAbstractButton) if b.isVisible() and b.text()]
    boxes = [box for box in root.findChildren(QComboBox) if box.isVisible()]
    return [b.text() for b in buttons if b.width() < b.sizeHint().width() or _is_outside(b)] + [
        box.currentText()
        for box in boxes
        if _text_width(box) > _text_room(box) and box.currentText() not in box.toolTip()
    ]


def _is_outside(button: QAbstractButton) -> bool:
    """Sideways: what is above or below may be scrolled to."""
    parent = button.parentWidget()
    while parent is not None and not parent.isWindow():
        at = QRect(button.mapTo(parent, QPoint(0, 0)), button.size())
        if at.left() < 0 or at.right() > parent.rect().right():
            return True
        parent = parent.parentWidget()
    return False


def _text_width(box: QComboBox) -> int:
    return box.fontMetrics().horizontalAdvance(box.currentText())


def _text_room(box: QComboBox) -> int:
    option = QStyleOptionComboBox()
    box.initStyleOption(option)
    field = QStyle.SubControl.SC_ComboBoxEditField
    return box.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, field, box).width()


def show(stage: Stage, scene: Scene, size: tuple[int, int]) -> QWidget:
    scene(stage)
    stage.program.state.update(show_performance_panel=True)
    resize(stage, size)
    return stage.window.pages.currentWidget()


def resize(stage: Stage, size: tuple[int, int]) -> None:
    stage.window.resize(*size)
    stage.settle()
    assert (stage.window.width(), stage.window.height()) == size


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_is_cut(stage: Stage, scene: Scene) -> None:
    page = show(stage, scene, SMALLEST)
    assert cut(page) == []
    resize(stage, (1280, 720))
    assert cut(page) == []


def test_the_chosen_row_is_in_sight(stage: Stage) -> None:
    show(stage, models_tree, SMALLEST)
    table = stage.program.models_page.table
    row = table.visualRect(table.currentIndex())
    assert row.height() - row.intersected(table.viewport().rect()).height() <= 1  # Qt leaves out one pixel


def test_no_button_moves_when_a_job_begins_or_ends(stage: Stage) -> None:
    page = show(stage, models, SMALLEST)
    details, strip = stage.program.models_page.details, stage.window.strip
    job = Job("Verifying a model", (VerifyModel(STARTER_MODEL),))
    places = []
    for state in (None, JobState.RUNNING, JobState.DONE):
        if state is not None:
            strip.show_job(JobStatus(7, job, state))
        stage.settle()
        buttons = [one for one in page.findChildren(QAbstractButton) if one.isVisible()]
        places.append([one.mapTo(stage.window, QPoint(0, 0)) for one in buttons])
        assert strip.is_idle == (state is not JobState.RUNNING)
        assert strip.isVisible()
    assert details.chat.isVisible()
    assert places[0] == places[1] == places[2]


def test_what_is_cut_is_found(qtbot: QtBot, theme: ThemeWatcher) -> None:
    """The test above could be blind."""
    row = QWidget()
    qtbot.addWidget(row)
    box = QComboBox()
    box.addItem("a choice with many words")
    box.setFixedWidth(60)
    layout = QHBoxLayout(row)
    for _ in range(3):
        layout.addWidget(QPushButton("Show in folder"))
    layout.addWidget(box)
    row.show()
    assert cut(row) == ["a choice with many words"]
    row.setFixedWidth(260)
    layout.activate()
    assert cut(row) == ["Show in folder"] * 3 + ["a choice with many words"]
