"""The models page on a real folder: what is in it is listed, added, deleted, brought back."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent

from app.library.library import ModelSource
from app.library.manifest import FileOrigin
from app.library.provenance import FfnCut
from app.system.paths import STARTER_MODEL, Paths
from tests.ui.fake_engine import SAMPLE_MODEL, FakeEngine
from tests.ui.scenes import sample_entries
from tests.ui.scenes_ledger import source
from ui.models.models_model import ModelsModel
from ui.models.page import ModelsPage
from workers.current_model import CurrentModel
from workers.library import Library
from workers.settings_store import SettingsStore
from workers.tasks import TaskRunner


@pytest.fixture
def page(qtbot, engine: FakeEngine, settings: SettingsStore, tasks: TaskRunner, paths: Paths) -> ModelsPage:
    current = CurrentModel(engine, settings)
    models = ModelsModel()
    library = Library(paths, settings, tasks)
    library.scanned.connect(models.set_entries)
    library.figures_read.connect(models.set_figures)
    page = ModelsPage(models, library, current, engine, settings, tasks, paths)
    models.setParent(page)
    page.library = library
    page.current = current  # kept alive with the page, as the program does
    qtbot.addWidget(page)
    return page


@pytest.fixture
def own_model(paths: Paths) -> Path:
    path = paths.models / "me" / "mine" / "mine.gguf"
    path.parent.mkdir(parents=True)
    shutil.copy(STARTER_MODEL, path)
    return path


def listed(page: ModelsPage) -> list[Path]:
    return [entry.path for entry in page.findChild(ModelsModel).entries]


def refresh(page: ModelsPage, qtbot) -> None:
    with qtbot.waitSignal(page.library.figures_read):
        page.library.refresh()


def test_folder_is_listed(page: ModelsPage, own_model: Path, qtbot) -> None:
    refresh(page, qtbot)
    assert set(listed(page)) == {STARTER_MODEL, own_model}


def test_file_that_is_no_model_says_what_is_wrong(page: ModelsPage, paths: Paths, qtbot) -> None:
    broken = paths.models / "note.gguf"
    broken.write_text("not a model at all")
    refresh(page, qtbot)
    page.select(broken)
    assert page.details.problem.text()
    assert not page.details.load.isEnabled()


def test_what_a_folder_is_stands_below_its_name(page: ModelsPage, qtbot) -> None:
    pruned = dataclasses.replace(source(), origin=FileOrigin("a" * 64, 1, parent="../b", steps=(FfnCut(768, (512,)),)))
    for entry, words in ((source(), "The original, in"), (pruned, "Pruned here, in")):
        page.details.show_entry(entry, loaded=False, busy=False)
        assert page.details.note.text().startswith(words)
        assert not page.details.note.isHidden()
    page.details.show_entry(sample_entries()[0], loaded=False, busy=False)
    assert page.details.note.isHidden()


def test_load_asks_the_engine(page: ModelsPage, engine: FakeEngine, qtbot) -> None:
    refresh(page, qtbot)
    page.select(STARTER_MODEL)
    with qtbot.waitSignal(engine.model_loaded):
        page.details.load.click()
    assert engine.model is not None
    assert engine.model.path == STARTER_MODEL
    assert page.details.load.isHidden()
    page.details.unload.click()
    assert engine.model is None


def test_load_waits_while_another_is_loaded(page: ModelsPage, engine: FakeEngine, qtbot) -> None:
    refresh(page, qtbot)
    engine.hold = True
    page.details.load.click()
    assert not page.details.load.isEnabled()


def test_deleted_model_comes_back(page: ModelsPage, own_model: Path, qtbot) -> None:
    refresh(page, qtbot)
    page.select(own_model)
    page.details.delete.click()
    qtbot.waitUntil(lambda: "deleted" in page.notice.sentence and own_model not in listed(page))
    assert not own_model.exists()
    page.notice.buttons()["Undo"].click()
    qtbot.waitUntil(lambda: own_model in listed(page))
    assert own_model.exists()


def test_dismissed_deletion_is_for_good(page: ModelsPage, own_model: Path, qtbot) -> None:
    refresh(page, qtbot)
    page.select(own_model)
    page.details.delete.click()
    qtbot.waitUntil(lambda: "deleted" in page.notice.sentence)
    page.notice.dismiss()
    qtbot.waitUntil(lambda: list(own_model.parent.iterdir()) == [])


def test_loaded_model_is_unloaded_before_it_is_deleted(
    page: ModelsPage, engine: FakeEngine, own_model: Path, qtbot
) -> None:
    refresh(page, qtbot)
    page.select(own_model)
    with qtbot.waitSignal(engine.model_loaded):
        page.details.load.click()
    page.details.delete.click()
    qtbot.waitUntil(lambda: "deleted" in page.notice.sentence)
    assert engine.model is None


def test_file_is_added_where_it_lies(page: ModelsPage, settings: SettingsStore, tmp_path: Path, qtbot) -> None:
    elsewhere = tmp_path / "elsewhere.gguf"
    shutil.copy(STARTER_MODEL, elsewhere)
    page.add_files([elsewhere, elsewhere])
    qtbot.waitUntil(lambda: elsewhere in listed(page))
    assert settings.current.model_files == (str(elsewhere),)
    assert page.details.path.text() == str(elsewhere)
    page.details.delete.click()
    qtbot.waitUntil(lambda: elsewhere not in listed(page))
    assert elsewhere.exists()
    page.notice.buttons()["Undo"].click()
    qtbot.waitUntil(lambda: elsewhere in listed(page))


def test_what_comes_while_the_page_looks_is_found_too(
    page: ModelsPage, tasks: TaskRunner, tmp_path: Path, qtbot, monkeypatch
) -> None:
    looks: list[tuple] = []
    run = tasks.run
    monkeypatch.setattr(tasks, "run", lambda *given, **more: looks.append((given, more)))
    page.library.refresh()
    late = tmp_path / "late.gguf"
    shutil.copy(STARTER_MODEL, late)
    page.add_files([late])
    assert len(looks) == 1, "one look at a time"
    monkeypatch.setattr(tasks, "run", run)
    looks[0][1]["on_result"](())  # it had begun before
    qtbot.waitUntil(lambda: late in listed(page))


def test_dropped_folder_is_added(page: ModelsPage, settings: SettingsStore, tmp_path: Path, qtbot) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(STARTER_MODEL, folder / "a.gguf")
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(folder))])
    move = Qt.DropAction.CopyAction
    event = QDropEvent(QPointF(5, 5), move, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    page.dropEvent(event)
    qtbot.waitUntil(lambda: folder / "a.gguf" in listed(page))
    assert settings.current.model_folders == (str(folder),)


def test_other_files_are_left_out_and_that_is_said(page: ModelsPage, settings: SettingsStore, tmp_path: Path) -> None:
    page.add_files([tmp_path / "model.safetensors"])
    assert "model.safetensors" in page.notice.sentence
    assert settings.current.model_files == ()


def test_starter_cannot_be_deleted(page: ModelsPage, qtbot) -> None:
    refresh(page, qtbot)
    page.select(STARTER_MODEL)
    assert page.details.delete.isHidden()


def test_filter_and_empty_states_say_what_to_do(page: ModelsPage, qtbot) -> None:
    page.findChild(ModelsModel).set_entries(())
    assert "Drop a .gguf file" in page.empty.text.text()
    page.findChild(ModelsModel).set_entries(sample_entries())
    page.filter.setText("nothing like it")
    assert "No model has these words" in page.empty.text.text()
    assert page.details.isHidden()
    page.filter.setText("qwen3")
    assert page.details.title.text() == SAMPLE_MODEL.name


def test_words_of_delete_say_what_is_done(page: ModelsPage) -> None:
    page.findChild(ModelsModel).set_entries(sample_entries())
    words = {}
    for entry in sample_entries():
        page.select(entry.path)
        words[entry.source] = page.details.delete.text()
    assert words[ModelSource.MODELS_FOLDER] == "Delete"
    assert words[ModelSource.SINGLE_FILE] == "Take off the list"
    assert words[ModelSource.EXTRA_FOLDER] == "Take its folder off the list"


def test_every_control_has_a_name_and_can_be_reached(page: ModelsPage) -> None:
    from PySide6.QtWidgets import QAbstractButton, QLineEdit

    controls = [*page.findChildren(QAbstractButton), page.filter, page.table]
    assert [c for c in controls if not (c.accessibleName() or getattr(c, "text", str)())] == [
        c for c in controls if isinstance(c.parent(), QLineEdit)  # the field's own clear button
    ]  # fmt: skip
