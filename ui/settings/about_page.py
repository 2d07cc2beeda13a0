"""What this Bantam is: versions, the computer it runs on, where its data stays, the licences, diagnostics to copy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from app.diagnostics.about import components, cpu_sentence, licences_text
from app.diagnostics.report import diagnostics
from app.system.hardware import available_memory_bytes, cpu_name, physical_cores, total_memory_bytes, usable_cores
from app.units import percent
from ui.widgets.figure_table import FactsGrid
from ui.widgets.scrolled import scrolled
from ui.words import size

if TYPE_CHECKING:
    from workers.services import Services


_WIDTH = 720
_LICENCES_HEIGHT = 280
_RULE_LENGTH = 32
_RULE = re.compile(r"^([=\-_*~#])\1{32,}$", re.MULTILINE)
_COPIED_MS = 8000
_WHAT = "Finds language models that fit this computer, makes them smaller, and chats with them here."
_COPIED = "On the clipboard. It holds no chat, no token, and no name of a file or folder of yours."
_STAYS = (
    "Chats, models and settings are in this folder, and stay when Bantam is updated or removed."
    " To remove them too, delete it."
)


class AboutPage(QWidget):
    """Renders what it is told. The facts and the licences are asked for when the page is first shown."""

    facts_wanted = Signal()
    """`show_facts` answers."""
    licences_wanted = Signal()
    """`show_licences` answers; it takes a second."""
    copy_wanted = Signal()
    """`show_copied` answers."""

    def __init__(self, home: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "page")
        self._home = home
        self._asked = False
        self.versions, self.machine = FactsGrid(), FactsGrid()
        self.copied = _label("secondary")
        self.copy = QPushButton("Copy diagnostics")
        self.copy.clicked.connect(self.copy_wanted)
        self._copied_clock = QTimer(self, singleShot=True, interval=_COPIED_MS)
        self._copied_clock.timeout.connect(self.copied.clear)
        self.folder = QPushButton("Open folder")
        self.folder.setAccessibleName("Open the data folder")
        self.folder.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(home))))
        self.licences = QPlainTextEdit("Collecting the licences…")
        self.licences.setReadOnly(True)
        self.licences.setAccessibleName("Licences")
        self.licences.setFixedHeight(_LICENCES_HEIGHT)
        self._lay_out()

    def show_facts(self, versions: Sequence[tuple[str, str]], machine: Sequence[tuple[str, str]]) -> None:
        """(name, text) of the program's parts, and of this computer."""
        self.versions.show_facts(versions)
        self.machine.show_facts(machine)

    def show_licences(self, text: str) -> None:
        """The whole list, as plain text; lines that are only drawn are no longer than the field is wide."""
        self.licences.setPlainText(_RULE.sub(lambda rule: rule[0][:_RULE_LENGTH], text))

    def show_copied(self) -> None:
        """The diagnostics are on the clipboard."""
        self.copied.setText(_COPIED)
        self._copied_clock.start()

    def _lay_out(self) -> None:
        form = QWidget()
        form.setMaximumWidth(_WIDTH)
        column = QVBoxLayout(form)
        column.setContentsMargins(24, 16, 24, 24)
        column.setSpacing(8)
        for text, role in (("About Bantam", "title"), (_WHAT, "secondary")):
            column.addWidget(_label(role, text))
        column.addSpacing(8)
        column.addWidget(self.versions)
        copy = QHBoxLayout()
        copy.setSpacing(12)
        copy.addWidget(self.copy)
        copy.addWidget(self.copied, 1)
        column.addSpacing(8)
        column.addLayout(copy)
        self._add_group(column, "This computer", self.machine)
        self._add_group(column, "Your data", self._data())
        self._add_group(column, "Licences", self.licences)
        column.addStretch()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        self.area = scrolled(form)
        whole.addWidget(self.area)

    def _add_group(self, column: QVBoxLayout, title: str, content: QWidget) -> None:
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedHeight(1)
        column.addSpacing(16)
        column.addWidget(line)
        column.addSpacing(8)
        column.addWidget(_label("strong", title))
        column.addWidget(content)

    def _data(self) -> QWidget:
        path = _label("", str(self._home))
        path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.folder, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(path, 1)
        data = QWidget()
        column = QVBoxLayout(data)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(row)
        column.addWidget(_label("secondary", _STAYS))
        return data

    # Qt overrides

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.facts_wanted.emit()
        if not self._asked:
            self._asked = True
            self.licences_wanted.emit()


def _label(role: str, text: str = "") -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    if role:
        label.setProperty("role", role)
    return label


# What the About page shows and copies: asked of the system in a thread when the page is looked at.


Facts = list[tuple[str, str]]


def make_about_page(services: Services) -> AboutPage:
    """The page, connected."""
    page = AboutPage(services.paths.home)
    _About(page, services)
    return page


class _About(QObject):
    """The slots. Lives as long as the page."""

    def __init__(self, page: AboutPage, services: Services) -> None:
        super().__init__(page)
        self._page, self._services, self._paths = page, services, services.paths
        tasks = services.tasks
        page.facts_wanted.connect(
            lambda: tasks.run(_facts, on_result=lambda facts: page.show_facts(*facts), receiver=page)
        )
        page.licences_wanted.connect(lambda: tasks.run(licences_text, on_result=page.show_licences))
        page.copy_wanted.connect(self._copy)

    def _copy(self) -> None:
        def copy(text: str) -> None:
            QGuiApplication.clipboard().setText(text)
            self._page.show_copied()

        self._services.tasks.run(diagnostics, self._paths, self._shown(), on_result=copy, receiver=self._page)

    def _shown(self) -> dict[str, str]:
        """What only the window knows."""
        screen, model = self._page.screen(), self._services.engine.model
        pixels, scale = screen.size(), screen.devicePixelRatio()
        return {
            "Window system": QGuiApplication.platformName(),
            "Screen": f"{pixels.width()} x {pixels.height()} at {percent(scale)}",
            "Model": f"{model.name} {model.quantization}, safe mode {model.safe_mode}" if model else "none",
            "Engine": self._services.engine.state.value,
        }


def _facts() -> tuple[Facts, Facts]:
    versions = [(one.name, one.version) for one in components()]
    memory = f"{size(total_memory_bytes())}, {size(available_memory_bytes())} of it available"
    machine = [
        ("Processor", cpu_name()),
        ("It can compute with", cpu_sentence()),
        ("Cores", _cores(physical_cores(), usable_cores())),
        ("Memory", memory),
    ]
    return versions, machine


def _cores(physical: int, usable: int) -> str:
    return str(physical) if usable == physical else f"{physical}, which work as {usable} (hyper-threads)"
