"""The window about one model's inside: list, pictures, errors, suggested types, and each state in between."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialogButtonBox
from pytestqt.qtbot import QtBot

from app.inspect.messages import Inside, LookAtTensor, LookInside
from app.operation import Progress, Stage
from tests.ui.scenes_inside import CHOSEN, look, suggestion, tensors
from tests.ui.scenes_ledger import FOLDER, source, variants
from ui.inspect.window import InsideWindow
from ui.models.quantize_dialog import QuantizeDialog


@pytest.fixture
def window(qtbot: QtBot) -> InsideWindow:
    window = InsideWindow(source())
    qtbot.addWidget(window)
    window.begin()
    window.show_list(Inside(FOLDER, tensors()))
    return window


def test_it_asks_for_the_list_and_says_so(qtbot: QtBot) -> None:
    window, asked = InsideWindow(source()), []
    qtbot.addWidget(window)
    window.asked.connect(asked.append)
    window.begin()
    assert asked == [LookInside(FOLDER)]
    assert not window.list.isEnabled()
    assert "Reading the list" in window.view.empty.title.text()


def test_tensors_are_grouped_filtered_and_sorted(window: InsideWindow) -> None:
    tree = window.list.tree
    assert tree.topLevelItemCount() == 29
    assert [tree.topLevelItem(number).text(0) for number in (0, 1, 11)] == ["Outside the layers", "Layer 0", "Layer 10"]
    window.list.filter.setText("layers.3 PROJ")
    assert len(window.list.shown()) == 7
    window.list.filter.setText("")
    assert len(window.list.shown()) == len(tensors())
    tree.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    layer = next(tree.topLevelItem(n) for n in range(29) if tree.topLevelItem(n).text(0) == "Layer 0")
    assert layer.child(0).text(0).startswith("mlp.")


def test_the_row_that_the_keys_stop_at_is_asked_for(window: InsideWindow, qtbot: QtBot) -> None:
    asked: list[object] = []
    window.asked.connect(asked.append)
    with qtbot.waitSignal(window.asked):
        window.list.choose("model.norm.weight")
        window.list.choose(CHOSEN)
    assert asked == [LookAtTensor(FOLDER, CHOSEN)]
    assert "Reading" in window.view.busy.text()


def test_what_is_shown_can_be_read_without_colour(window: InsideWindow) -> None:
    window.list.choose(CHOSEN)
    window.show_look(look())
    view = window.view
    assert "3 of 6,144 stand out" in view.standing_out.text()
    assert view.channels.accessibleDescription() == view.standing_out.text()
    assert "standard deviation 0.0164" in view.histogram.accessibleDescription()
    assert "682 of its 2,048 rows" in view.notes.text()
    table = view.errors
    texts = {table.topLevelItem(n).text(0): table.topLevelItem(n) for n in range(table.topLevelItemCount())}
    assert texts["Q4_K"].text(3) == "22.8 dB"
    assert texts["Q3_K"].text(3) == "—"
    table.setCurrentItem(texts["Q3_K"])
    assert "1000 does not divide" in view.meaning.text()


def test_an_answer_for_another_tensor_is_not_shown(window: InsideWindow) -> None:
    window.list.choose("model.norm.weight")
    window.show_look(look())
    assert "norm" in window.view.title.text()
    assert "Reading" in window.view.busy.text()


def test_trouble_can_be_tried_again(window: InsideWindow, qtbot: QtBot) -> None:
    window.list.choose(CHOSEN)
    window.refuse(LookAtTensor(FOLDER, CHOSEN), "It is cut off.")
    assert window.view.empty.text.text() == "It is cut off."
    with qtbot.waitSignal(window.asked) as asked:
        window.view.empty.action.click()
    assert asked.args == [LookAtTensor(FOLDER, CHOSEN)]


def test_inputs_are_offered_for_files_that_can_be_loaded(window: InsideWindow, qtbot: QtBot) -> None:
    window.list.choose(CHOSEN)
    by_weights = dataclasses.replace(look(), pictures=look().pictures[:1])
    window.show_look(by_weights)
    assert window.view.inputs.isHidden(), "a folder is not read by llama.cpp"
    window.view.show_look(by_weights, can_read_inputs=True)
    assert not window.view.inputs.isHidden()
    with qtbot.waitSignal(window.asked) as asked:
        window.view.inputs.click()
    assert asked.args[0].inputs


def test_types_are_measured_cancelled_and_found(window: InsideWindow, qtbot: QtBot) -> None:
    window.suggest.click()
    types = window.types
    types.extra.setValue(3)
    with qtbot.waitSignal(window.suggestion_requested) as wanted:
        types.start.click()
    assert wanted.args == ["Q4_K_M", 0.03]
    window.show_progress(Progress(Stage.SENSITIVITY, 3, 22, 90.0))
    assert "3 of 22" in types.words.text()
    assert not types.start.isEnabled()
    with qtbot.waitSignal(window.cancel_requested):
        types.stop.click()
    window.show_no_suggestion("There is no room.")
    assert types.trouble.text() == "There is no room."
    window.show_suggestion(suggestion())
    assert types.verdict.text().startswith("✓ These types lose")
    assert types.table.topLevelItemCount() == 22
    with qtbot.waitSignal(window.use_requested) as used:
        types.use.click()
    assert used.args == [suggestion()]


def test_a_suggestion_that_is_no_better_says_so(window: InsideWindow) -> None:
    window.show_suggestion(suggestion(better=False))
    assert window.types.verdict.text().startswith("= The usual mixture Q4_K_M is as good")


def test_a_quantized_model_is_looked_at_and_gets_no_types(qtbot: QtBot) -> None:
    window = InsideWindow(variants()[2])
    qtbot.addWidget(window)
    assert not window.types.start.isEnabled()
    assert "16 bits" in window.types.trouble.text()


def test_the_dialog_with_all_types_takes_them(qtbot: QtBot) -> None:
    dialog, found = QuantizeDialog(source()), suggestion()
    qtbot.addWidget(dialog)
    dialog.fill_in("Q5_K_M", found.overrides)
    assert dialog.chosen == ("Q5_K_M",)
    assert [request.overrides for request in dialog.requests()] == [found.overrides]
    assert dialog.buttons.button(QDialogButtonBox.StandardButton.Ok).isEnabled()
