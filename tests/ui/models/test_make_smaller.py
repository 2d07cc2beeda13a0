"""The two buttons that make a model smaller, and the dialog with the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QTreeWidget, QTreeWidgetItem
from pytestqt.qtbot import QtBot

from app.engine.messages import MemoryNeed
from app.library.library import ModelEntry, ModelSource
from app.library.tensor_types import FILE_TYPES
from app.quantize.messages import Offer, Offers, Quantize, TensorOverride
from ui.models.make_smaller import MakeSmaller
from ui.models.quantize_dialog import TYPES, QuantizeDialog

NEED = MemoryNeed(4_000_000_000, 500_000_000, 100_000_000, 50_000_000)


def folder_entry(path: Path) -> ModelEntry:
    return ModelEntry(path, path.name, 15_000_000_000, None, "", ModelSource.MODELS_FOLDER, is_folder=True)


def offers_of(path: Path, ms: float | None = 140.0) -> Offers:
    offers = (Offer("Q4_K_M", 4_100_000_000, NEED, ms), Offer("Q8_0", 8_200_000_000, NEED, ms))
    return Offers(path, offers, 15_000_000_000, 180.0)


@pytest.fixture
def smaller(qtbot: QtBot) -> MakeSmaller:
    widget = MakeSmaller()
    qtbot.addWidget(widget)
    return widget


def test_it_says_what_each_button_will_make_before_the_click(smaller: MakeSmaller, tmp_path: Path) -> None:
    wanted: list[ModelEntry] = []
    smaller.offers_wanted.connect(wanted.append)
    smaller.show_entry(folder_entry(tmp_path))
    assert [entry.path for entry in wanted] == [tmp_path]
    assert not smaller.four.button.isEnabled(), "nothing is known yet"
    smaller.show_offers(offers_of(tmp_path))
    assert smaller.four.size_line.text() == "4.1 GB on disk"
    assert smaller.four.cost.text() == "4.7 GB of memory, about 140 ms a token"
    assert smaller.four.button.isEnabled()
    assert "4.1 GB on disk" in smaller.four.button.accessibleName()


def test_a_speed_that_is_not_known_is_left_out(smaller: MakeSmaller, tmp_path: Path) -> None:
    smaller.show_entry(folder_entry(tmp_path))
    smaller.show_offers(offers_of(tmp_path, None))
    assert smaller.eight.cost.text() == "4.7 GB of memory"


def test_a_click_asks_for_that_type_once(smaller: MakeSmaller, tmp_path: Path) -> None:
    asked: list[tuple[Quantize, ...]] = []
    smaller.requested.connect(asked.append)
    smaller.show_entry(folder_entry(tmp_path))
    smaller.show_offers(offers_of(tmp_path))
    smaller.four.button.click()
    smaller.four.button.click()
    ((request,),) = asked
    assert (request.source, request.type) == (tmp_path, "Q4_K_M")
    assert request.output == tmp_path / f"{tmp_path.name}-Q4_K_M.gguf"


@pytest.mark.parametrize(("seconds", "weighs"), [(180.0, True), (3000.0, False), (0.0, False)])
def test_a_q4_looks_at_what_matters_first_where_that_is_quick(
    smaller: MakeSmaller, tmp_path: Path, seconds: float, weighs: bool
) -> None:
    asked: list[tuple[Quantize, ...]] = []
    smaller.requested.connect(asked.append)
    smaller.show_entry(folder_entry(tmp_path))
    smaller.show_offers(replace(offers_of(tmp_path), calibration_seconds=seconds))
    smaller.four.button.click()
    smaller.eight.button.click()
    assert [request.calibrate for (request,) in asked] == [weighs, False]
    assert ("importance matrix" in smaller.four.button.toolTip()) == weighs


def test_one_that_is_made_already_cannot_be_made_again(smaller: MakeSmaller, tmp_path: Path) -> None:
    (tmp_path / f"{tmp_path.name}-Q8_0.gguf").write_bytes(b"")
    smaller.show_entry(folder_entry(tmp_path))
    smaller.show_offers(offers_of(tmp_path))
    assert "made already" in smaller.eight.size_line.text()
    assert not smaller.eight.button.isEnabled()


def test_the_answer_for_another_row_counts_for_nothing(smaller: MakeSmaller, tmp_path: Path) -> None:
    smaller.show_entry(folder_entry(tmp_path))
    smaller.show_offers(offers_of(tmp_path / "other"))
    smaller.refuse(tmp_path / "other", "It cannot.")
    assert not smaller.four.button.isEnabled()
    assert smaller.trouble.isHidden()


def test_why_nothing_can_be_made_is_said(smaller: MakeSmaller, tmp_path: Path) -> None:
    smaller.show_entry(folder_entry(tmp_path))
    smaller.refuse(tmp_path, "The model is quantized already (gptq).")
    assert smaller.trouble.text() == "The model is quantized already (gptq)."
    assert not smaller.four.button.isEnabled()


def test_a_quantized_file_has_no_buttons(smaller: MakeSmaller, tmp_path: Path) -> None:
    smaller.show_entry(ModelEntry(tmp_path / "m.gguf", "m", 1, None, "", ModelSource.MODELS_FOLDER))
    assert smaller.isHidden()


@pytest.fixture
def dialog(qtbot: QtBot, tmp_path: Path) -> QuantizeDialog:
    widget = QuantizeDialog(folder_entry(tmp_path))
    qtbot.addWidget(widget)
    return widget


def tick(dialog: QuantizeDialog, *names: str) -> None:
    for name, item in items(dialog).items():
        item.setCheckState(0, Qt.CheckState.Checked if name in names else Qt.CheckState.Unchecked)


def items(dialog: QuantizeDialog) -> dict[str, QTreeWidgetItem]:
    """The rows of the types, by their names."""
    found = dialog.findChild(QTreeWidget).findItems("*", Qt.MatchFlag.MatchWildcard | Qt.MatchFlag.MatchRecursive)
    return {one.text(0): one for one in found if one.text(0) in TYPES}


def test_every_type_of_llama_cpp_that_makes_sense_is_there() -> None:
    left_out = {"MXFP4_MOE", "NVFP4", "Q1_0", "Q2_0"}  # for models that were trained in them
    assert set(TYPES) == set(FILE_TYPES.values()) - left_out


def test_the_dialog_fills_in_what_is_answered(dialog: QuantizeDialog, tmp_path: Path) -> None:
    dialog.show_offers(offers_of(tmp_path))
    assert [items(dialog)["Q8_0"].text(n) for n in range(4)] == ["Q8_0", "8.2 GB", "4.7 GB", "140 ms"]
    assert "3 min" in dialog.calibrate.text()


def test_several_types_at_once(dialog: QuantizeDialog, tmp_path: Path) -> None:
    tick(dialog, "Q8_0", "Q5_K_M")
    dialog.calibrate.setChecked(True)
    dialog.threads.setValue(3)
    dialog.tensors.setText("ffn_down=q6_k, attn_v = Q8_0")
    requests = dialog.requests()
    assert [request.output.name for request in requests] == [f"{tmp_path.name}-{n}.gguf" for n in ("Q8_0", "Q5_K_M")]
    assert all(request.calibrate and request.threads == 3 for request in requests)
    assert requests[0].overrides == (TensorOverride("ffn_down", "Q6_K"), TensorOverride("attn_v", "Q8_0"))
    assert not dialog.name.isEnabled(), "a name is for one file"


def test_a_name_of_the_users_own(dialog: QuantizeDialog, tmp_path: Path) -> None:
    tick(dialog, "Q4_0")
    dialog.name.setText("mine")
    assert dialog.requests()[0].output == tmp_path / "mine.gguf"


def test_what_cannot_be_meant_is_said_and_the_dialog_stays(dialog: QuantizeDialog) -> None:
    asked: list[object] = []
    dialog.requested.connect(asked.append)
    dialog.tensors.setText("nonsense")
    dialog.accept()
    assert "nonsense" in dialog.trouble.text()
    assert asked == []


def test_nothing_chosen_makes_nothing(dialog: QuantizeDialog) -> None:
    tick(dialog)
    assert not dialog.buttons.button(dialog.buttons.StandardButton.Ok).isEnabled()
