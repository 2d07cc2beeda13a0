"""The settings page shows every declared setting and changes it at once."""

from __future__ import annotations

import pytest

from app.engine.messages import FlashAttention, KvType
from app.settings import Theme, declarations, load_settings
from app.system.paths import Paths
from tests.ui.fake_engine import FakeEngine
from tests.ui.seen import button
from ui.settings.page import BoolEditor, EnumEditor, NumberEditor, PathsEditor, SettingsPage
from workers.current_model import CurrentModel
from workers.settings_store import SettingsStore


@pytest.fixture
def current(engine: FakeEngine, settings: SettingsStore) -> CurrentModel:
    return CurrentModel(engine, settings)


@pytest.fixture
def page(qtbot, engine: FakeEngine, settings: SettingsStore, current: CurrentModel, paths: Paths) -> SettingsPage:
    page = SettingsPage(settings, engine, current, paths)
    qtbot.addWidget(page)
    return page


def test_every_declared_setting_has_an_editor(page: SettingsPage) -> None:
    assert set(page.editors) == set(declarations())
    for name, declaration in declarations().items():
        assert page.editors[name].accessibleName() == declaration.label


def test_choice_is_in_force_and_saved(page: SettingsPage, settings: SettingsStore, paths: Paths) -> None:
    editor = page.editors["kv_type"]
    assert isinstance(editor, EnumEditor)
    editor.setCurrentIndex(editor.findData(KvType.Q8_0))
    editor.activated.emit(editor.currentIndex())
    assert settings.current.kv_type is KvType.Q8_0
    assert load_settings(paths.settings).kv_type is KvType.Q8_0


def test_number_is_in_force_within_its_bounds(page: SettingsPage, settings: SettingsStore) -> None:
    editor = page.editors["target_ms_per_token"]
    assert isinstance(editor, NumberEditor)
    editor.box.setValue(150)
    assert settings.current.target_ms_per_token == 150
    editor.box.setValue(1)
    assert settings.current.target_ms_per_token == 10
    assert editor.box.suffix() == " ms a token"


def test_tenths_stay_tenths(page: SettingsPage, settings: SettingsStore) -> None:
    editor = page.editors["kv_disk_limit_gb"]
    assert isinstance(editor, NumberEditor)
    editor.box.setValue(2.5)
    assert settings.current.kv_disk_limit_gb == 2.5


def test_zero_threads_are_a_word(page: SettingsPage) -> None:
    editor = page.editors["decode_threads"]
    assert isinstance(editor, NumberEditor)
    assert editor.box.text() == "as measured"
    assert "“As measured”" in editor.accessibleDescription(), "it is called what the field shows"


def test_the_thread_counts_are_readable_in_a_wider_font(page: SettingsPage) -> None:
    page.resize(900, 700)
    page.show()
    page.threads.setText("In use: 16 for answering, 16 for reading the prompt.")
    page.threads.setStyleSheet("font-size: 24px")
    label = page.threads
    assert label.wordWrap()
    assert label.heightForWidth(label.width()) >= 2 * label.fontMetrics().height() > 0


def test_list_is_edited(page: SettingsPage, settings: SettingsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = page.editors["model_folders"]
    assert isinstance(editor, PathsEditor)
    monkeypatch.setattr("ui.settings.page.QFileDialog.getExistingDirectory", lambda *_: "/media/usb")
    for _ in range(2):
        button(editor, "Add…").click()
    assert settings.current.model_folders == ("/media/usb",)
    editor.list.setCurrentRow(0)
    editor.remove.click()
    assert settings.current.model_folders == ()


def test_change_from_elsewhere_is_shown_and_not_echoed(page: SettingsPage, settings: SettingsStore, qtbot) -> None:
    editor = page.editors["context_tokens"]
    assert isinstance(editor, NumberEditor)
    with qtbot.assertNotEmitted(editor.edited):
        settings.update(context_tokens=1024, theme=Theme.DARK)
    assert editor.box.value() == 1024


def test_reload_is_offered_while_the_model_has_older_settings(
    page: SettingsPage, settings: SettingsStore, current: CurrentModel, engine: FakeEngine, qtbot, tmp_path
) -> None:
    assert page.reload.isHidden()
    with qtbot.waitSignal(engine.model_loaded):
        current.load(tmp_path / "a.gguf")
    settings.update(flash_attention=FlashAttention.OFF)
    assert not page.reload.isHidden()
    with qtbot.waitSignal(engine.model_loaded):
        page.reload.buttons()["Reload now"].click()
    assert page.reload.isHidden()
    settings.update(target_ms_per_token=90)
    assert page.reload.isHidden()


def test_measuring_needs_a_model(
    page: SettingsPage, engine: FakeEngine, current: CurrentModel, qtbot, tmp_path
) -> None:
    assert not page.measure.isEnabled()
    with qtbot.waitSignal(engine.model_loaded):
        current.load(tmp_path / "a.gguf")
    assert page.measure.isEnabled()
    page.measure.click()
    assert ("measure_threads", ()) in engine.calls
    assert page.threads.text() == "In use: 2 answering, 2 reading."


def test_wheel_over_a_field_scrolls_the_page(page: SettingsPage, qtbot) -> None:
    from PySide6.QtCore import QPoint, QPointF, Qt
    from PySide6.QtGui import QWheelEvent
    from PySide6.QtWidgets import QApplication

    editor = page.editors["target_ms_per_token"]
    assert isinstance(editor, NumberEditor)
    before = editor.box.value()
    event = QWheelEvent(
        QPointF(5, 5), QPointF(5, 5), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(editor.box, event)
    assert editor.box.value() == before


def test_yes_or_no_is_a_check_box(qtbot) -> None:
    editor = BoolEditor("Show it")
    qtbot.addWidget(editor)
    editor.show_value(True)
    with qtbot.waitSignal(editor.edited) as edited:
        editor.click()
    assert edited.args == [False]
