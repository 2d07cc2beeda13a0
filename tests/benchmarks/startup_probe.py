"""Run by startup.py in a process of its own: opens a window, says when it is usable and how large the process is."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import psutil
from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow

_HEAVY = ("torch", "transformers", "llama_cpp", "numpy")
_LATER_MS = 3000


class FirstPaint(QObject):
    """Calls back from the event loop once, after the window was painted: it answers the user from then on."""

    def __init__(self, window: QMainWindow, then: Callable[[], None]) -> None:
        super().__init__(window)
        self._then: Callable[[], None] | None = then
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and self._then is not None:
            QTimer.singleShot(0, self._then)
            self._then = None
        return False


def _say() -> None:
    loaded = [name for name in _HEAVY if name in sys.modules]
    said = {
        "time": time.time(),
        "cpu_s": time.process_time(),
        "resident_bytes": psutil.Process().memory_info().rss,
        "heavy_modules": loaded,
    }
    print(json.dumps(said), flush=True)


def _watch(window: QMainWindow) -> None:
    def usable() -> None:
        _say()
        QTimer.singleShot(_LATER_MS, later)

    def later() -> None:
        _say()
        window.close()

    FirstPaint(window, usable)


def bantam() -> int:
    """The program as it starts, but for the watch on its window."""
    import ui.app
    import ui.program

    show = ui.program.Program.show

    def watched_show(program: ui.program.Program, *given: object) -> None:
        _watch(program.window)
        show(program, *given)  # type: ignore[arg-type]

    ui.program.Program.show = watched_show  # type: ignore[method-assign]
    return ui.app.main()


def bare() -> int:
    """The least that a PySide6 program can be."""
    application = QApplication([])
    window = QMainWindow()
    window.setCentralWidget(QLabel("Hello"))
    _watch(window)
    window.show()
    return application.exec()


if __name__ == "__main__":
    raise SystemExit(bantam() if sys.argv[1] == "bantam" else bare())
