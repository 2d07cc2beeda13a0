"""Two rows of the settings: the access token for the hub, and how fast this computer was measured to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from app.engine.messages import MachineSpeed
    from workers.machine_speed import SpeedService
    from workers.services import HubServices

_TYPES_SHOWN = ("Q4_0", "Q4_K", "Q8_0")


class TokenRow(QWidget):
    """A field, Save and Forget; below what became of it."""

    def __init__(self, hub: HubServices, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hub = hub
        self.field = QLineEdit(placeholderText="hf_…")
        self.field.setEchoMode(QLineEdit.EchoMode.Password)
        self.field.setAccessibleName("Access token for the hub")
        self.save, self.forget = QPushButton("Save"), QPushButton("Forget")
        self.save.setEnabled(False)
        self.state = _label("No token is kept.")
        self.field.textChanged.connect(lambda text: self.save.setEnabled(bool(text.strip())))
        self.field.returnPressed.connect(self._on_save)
        self.save.clicked.connect(self._on_save)
        self.forget.clicked.connect(hub.forget_token)
        hub.token_changed.connect(self._on_token_changed)
        hub.token_refused.connect(self.state.setText)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.field, 1)
        row.addWidget(self.save)
        row.addWidget(self.forget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.state)
        self.setFocusProxy(self.field)
        self._on_token_changed(hub.has_token, "")

    def _on_save(self) -> None:
        token = self.field.text().strip()
        if token:
            self.field.clear()
            self.state.setText("Asking the hub whose it is…")
            self._hub.give_token(token)

    def _on_token_changed(self, kept: bool, sentence: str) -> None:
        self.forget.setEnabled(kept)
        self.state.setText(sentence or ("A token is kept." if kept else self._none()))

    def _none(self) -> str:
        if self._hub.has_keyring:
            return "No token is kept."
        return "This system has no keyring service: a token given here is forgotten when Bantam ends."


class SpeedRow(QWidget):
    """Measure, and what was measured with the error of the predictions made from it."""

    def __init__(self, speed: SpeedService, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._speed = speed
        self.measure = QPushButton("Measure")
        self.measure.setAccessibleName("Measure this computer’s speed")
        self.measure.clicked.connect(speed.measure)
        self.state = _label("")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        row.addWidget(self.measure)
        row.addWidget(self.state, 1)
        self.setFocusProxy(self.measure)
        speed.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        self.measure.setEnabled(not self._speed.is_measuring)
        self.measure.setText("Measure again" if self._speed.speed else "Measure")
        if self._speed.is_measuring:
            self.state.setText("Measuring…")
        elif (speed := self._speed.speed) is None:
            self.state.setText("Not measured yet.")
        else:
            error = f" {self._speed.error.sentence}" if self._speed.error else ""
            self.state.setText(f"{_speed_words(speed)}{error}")


def _speed_words(speed: MachineSpeed) -> str:
    """ "It goes through this much of a model in a second: 38 GB in Q4_K, 36 GB in Q8_0 (measured on 2026-01-01)."."""
    known = {one.type: one.bytes_per_second / 1e9 for one in speed.types}
    figures = [f"{known[kind]:.0f} GB in {kind}" for kind in _TYPES_SHOWN if kind in known]
    return (
        f"It goes through this much of a model in a second: {', '.join(figures)} (measured on {speed.measured[:10]})."
    )


def _label(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setProperty("role", "secondary")
    return label
