"""Compare: a point for each variant that was measured, chosen by click, exported, measured."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QComboBox, QWidget
from pytestqt.qtbot import QtBot

from app.system.paths import STARTER_MODEL
from tests.ui.scenes import sample_entries
from tests.ui.scenes_ledger import figures, source, variants
from ui.discover.details import RemoteDetails
from ui.discover.search_pane import SearchPane
from ui.models.ledger_model import ROW_ROLE
from ui.models.make_smaller import MakeSmaller
from ui.models.models_model import ModelsModel
from ui.workshop.compare_pane import MEMORY, PERPLEXITY, ComparePane
from ui.workshop.ledger_plot import LedgerPlot
from ui.workshop.recipe_pane import RecipePane


@pytest.fixture
def models(qapp) -> ModelsModel:
    models = ModelsModel()
    models.set_entries((source(), *variants(), *sample_entries()[:2]))
    models.set_figures(figures())
    return models


@pytest.fixture
def page(qtbot: QtBot, models: ModelsModel) -> ComparePane:
    page = ComparePane(models)
    qtbot.addWidget(page)
    page.resize(1000, 600)
    with qtbot.waitExposed(page):
        page.show()
    return page


def chosen(page: ComparePane) -> Path:
    return page.table.currentIndex().data(ROW_ROLE).entry.path


def test_each_measured_variant_is_a_point(page: ComparePane) -> None:
    assert [point.path for point in page.plot.plot.points] == [entry.path for entry in variants()[:-1]]
    first = page.plot.plot.points[1]
    assert (first.x, first.y, first.label) == (139.0, 0.0014, "Q8_0")
    assert "KL divergence: 0.0014" in first.words
    assert page.missing.text() == "6 of 8 are in the plot."


def test_axes_can_be_switched(page: ComparePane) -> None:
    page.across.setCurrentText(MEMORY)
    page.up.setCurrentText(PERPLEXITY)
    assert (page.plot.plot.points[1].x, page.plot.plot.points[1].y) == (2.5, 14.22)
    assert [page.plot.plot.view.getAxis(name).autoSIPrefixScale for name in ("left", "bottom")] == [1.0, 1.0]


def test_a_click_on_a_point_chooses_its_row(page: ComparePane, qtbot: QtBot) -> None:
    path = variants()[5].path
    assert chosen(page) != path
    qtbot.waitUntil(lambda: page.plot.plot.view.viewport().rect().contains(page.plot.plot.place_of(path).toPoint()))
    qtbot.mouseClick(
        page.plot.plot.view.viewport(), Qt.MouseButton.LeftButton, pos=page.plot.plot.place_of(path).toPoint()
    )
    qtbot.waitUntil(lambda: chosen(page) == path)
    with qtbot.waitSignal(page.chat_requested) as asked:
        page.chat.click()
    assert asked.args == [path]


def test_a_click_beside_the_points_chooses_nothing(page: ComparePane, qtbot: QtBot) -> None:
    before = chosen(page)
    with qtbot.assertNotEmitted(page.plot.chosen):
        place = page.plot.plot.view.viewport().rect().topRight()
        qtbot.mouseClick(page.plot.plot.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert chosen(page) == before


def test_labels_cover_neither_each_other_nor_a_point(page: ComparePane, qtbot: QtBot) -> None:
    def apart() -> bool:
        areas = page.plot.plot.label_areas()
        pairs = [(one, other) for one in areas for other in areas if one is not other]
        return len(areas) == 6 and not any(one.intersects(other) for one, other in pairs)

    qtbot.waitUntil(apart)


def test_what_was_not_measured_can_be(page: ComparePane, qtbot: QtBot, models: ModelsModel) -> None:
    assert page.measure_all.text() == "Measure the missing one"
    assert page.measure_all.toolTip() == "Not measured yet: Q2_K"
    with qtbot.waitSignal(page.measure_requested) as asked:
        page.measure_all.click()
    assert asked.args[0] == (variants()[-1],)
    models.set_figures({})
    assert page.measure_all.text() == "Measure the 7 missing"
    assert page.plot.isHidden()
    assert "Not measured yet" in page.no_points.title.text()
    with qtbot.waitSignal(page.measure_requested) as asked:
        page.measure_all.click()
    assert asked.args[0] == variants()


def named(words: str) -> set[str]:
    """What stands in quotation marks."""
    return set(re.findall("“(.+?)”", words))


def buttons_of(*widgets: QWidget) -> set[str]:
    found = {button.text() for widget in widgets for button in widget.findChildren(QAbstractButton)}
    boxes = [box for widget in widgets for box in widget.findChildren(QComboBox)]
    return found | {box.itemText(number) for box in boxes for number in range(box.count())}


def test_an_empty_page_names_buttons_that_there_are(page: ComparePane, qtbot: QtBot, models: ModelsModel) -> None:
    """With the starter alone there is nothing to make anything of, and no such button on the Models page."""
    making = RecipePane(models)
    discover, details, smaller = SearchPane(), RemoteDetails(), MakeSmaller()
    for widget in (making, discover, details, smaller):
        qtbot.addWidget(widget)
    models.set_entries(tuple(one for one in sample_entries() if one.path == STARTER_MODEL))
    said = named(page.empty.text.text()) | named(making.empty.text.text())
    assert said >= {"Originals", "Download and make a Q4", "Download only"}
    assert said <= buttons_of(discover, details)
    with qtbot.waitSignal(page.discover_requested):
        page.empty.action.click()
    models.set_entries((source(),))
    assert named(page.empty.text.text()) <= buttons_of(smaller)
    assert not named(page.empty.text.text()) <= buttons_of(discover, details)


def test_empty_page_says_what_to_do_first(page: ComparePane, qtbot: QtBot, models: ModelsModel) -> None:
    models.set_entries((source(),))
    assert page.whole.isHidden()
    assert "“Make a Q4” or “Make a Q8”" in page.empty.text.text()
    with qtbot.waitSignal(page.models_requested):
        page.empty.action.click()
    models.set_entries((source(), *variants()))
    assert page.empty.isHidden()


def test_export_writes_every_model(page: ComparePane, tmp_path: Path) -> None:
    file = tmp_path / "ledger.csv"
    page.export(file)
    with file.open(newline="") as text:
        assert len(list(csv.DictReader(text))) == len(variants()) + 3
    assert "10 models" in page.notice.sentence
    page.export(tmp_path / "none" / "ledger.csv")
    assert "could not be written" in page.error.sentence


def test_the_plot_is_made_when_it_is_seen_with_what_it_was_told_before(qtbot: QtBot, models: ModelsModel) -> None:
    page = ComparePane(models)
    qtbot.addWidget(page)
    page.choose(variants()[2].path)
    assert page.plot.findChild(LedgerPlot) is None
    with qtbot.waitExposed(page):
        page.show()
    qtbot.waitUntil(lambda: page.plot.findChild(LedgerPlot) is not None)
    assert len(page.plot.plot.points) == 6
    assert page.plot.plot._chosen == variants()[2].path
    qtbot.waitUntil(page.plot.plot.isVisible)
