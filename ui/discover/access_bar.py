"""The way into a repository whose author asks for permission: open its page, accept, paste a token."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.hub.repository import Gate
from ui.look.icons import set_icon

_WORDS = {
    Gate.AUTOMATIC: "The author asks you to accept conditions before downloading. Access is given at once.",
    Gate.MANUAL: "The author asks you to accept conditions, and decides on each request.",
}


class AccessBar(QWidget):
    """Hidden for an open repository."""

    page_wanted = Signal()
    token_given = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "bar")
        self.setProperty("tone", "warning")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._sign, self.sentence, self.state = QLabel(), QLabel(), QLabel()
        set_icon(self._sign, "lock", "warning")
        for label in (self.sentence, self.state):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self.state.setProperty("role", "secondary")
        self.open_page = QPushButton("1. Accept on its page")
        self.open_page.clicked.connect(self.page_wanted)
        self.field = QLineEdit(placeholderText="2. Paste a token (hf_…)")
        self.field.setEchoMode(QLineEdit.EchoMode.Password)
        self.field.setAccessibleName("Access token of your account on the hub")
        self.save = QPushButton("Save")
        self.save.setEnabled(False)
        self.field.textChanged.connect(lambda text: self.save.setEnabled(bool(text.strip())))
        self.field.returnPressed.connect(self._on_save)
        self.save.clicked.connect(self._on_save)
        self._lay_out()
        self.hide()

    def show_gate(self, gate: Gate, *, has_token: bool) -> None:
        """What this repository asks for; nothing where it is open."""
        self.setVisible(gate is not Gate.OPEN)
        self.sentence.setText(_WORDS.get(gate, ""))
        self.say("A token is kept already: if you have accepted the conditions, download." if has_token else "")

    def say(self, sentence: str) -> None:
        """What came of it."""
        self.state.setText(sentence)
        self.state.setVisible(bool(sentence))

    def _on_save(self) -> None:
        token = self.field.text().strip()
        if token:
            self.field.clear()
            self.token_given.emit(token)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.field, 1)
        buttons.addWidget(self.save)
        column = QVBoxLayout()
        column.setSpacing(8)
        column.addWidget(self.sentence)
        column.addWidget(self.open_page, 0, Qt.AlignmentFlag.AlignLeft)
        column.addLayout(buttons)
        column.addWidget(self.state)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 10, 12, 10)
        row.setSpacing(10)
        row.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(column, 1)
