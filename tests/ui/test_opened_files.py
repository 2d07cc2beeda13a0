"""A file that the desktop sends as an event."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication

from ui.opened_files import OpenedFiles


def test_an_open_event_is_announced(qapp: QApplication, tmp_path: Path, qtbot) -> None:
    opened = OpenedFiles(qapp)
    file = tmp_path / "a model.gguf"
    with qtbot.waitSignal(opened.opened, timeout=1000) as signal:
        QApplication.sendEvent(qapp, QFileOpenEvent(QUrl.fromLocalFile(str(file))))
    assert signal.args == [file]
    qapp.removeEventFilter(opened)
    opened.deleteLater()
