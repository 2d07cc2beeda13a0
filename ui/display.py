"""Makes the QApplication, or says in one sentence why it cannot be made. Qt alone writes a page, and aborts."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

_NO_PLUGIN = "no Qt platform plugin could be initialized"
_X11_LIBRARY = "libxcb-cursor.so.0"
"""The one that Qt's X11 plugin needs and that systems often lack."""


def open_application() -> QApplication:
    """The application. Where there is no display to show it on, the process ends here, with exit code 1."""
    warnings: list[str] = []

    def on_message(kind: QtMsgType, _context: QMessageLogContext, message: str) -> None:
        if kind is QtMsgType.QtFatalMsg and _NO_PLUGIN in message:
            print(reason(os.environ, sys.platform, _has_library(_X11_LIBRARY)), file=sys.stderr, flush=True)
            os._exit(1)  # back in Qt it would abort
        warnings.append(message)

    previous = qInstallMessageHandler(on_message)
    application = QApplication(sys.argv[:1])
    qInstallMessageHandler(previous)
    for warning in warnings:
        print(warning, file=sys.stderr)
    return application


def reason(environment: Mapping[str, str], platform: str, has_x11_library: bool = True) -> str:
    """Why Qt found nothing to draw on, and the way out, in words."""
    terminal = "or chat in the terminal: bantam chat"
    asked = environment.get("QT_QPA_PLATFORM")
    if asked:
        return f"The window cannot be opened: QT_QPA_PLATFORM asks for “{asked}”, which does not work here. Unset it."
    display = environment.get("WAYLAND_DISPLAY") or environment.get("DISPLAY")
    if platform == "linux" and not display:
        return f"There is no display to open a window on. Start Bantam in a desktop session, {terminal}"
    if platform == "linux" and not has_x11_library:
        return f"The window needs the library {_X11_LIBRARY}. Install the package that has it, {terminal}"
    named = f"The display {display}" if display else "The display"
    return f"{named} cannot be opened. Start Bantam in the session that it belongs to, {terminal}"


def _has_library(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
