"""What the model thought before it answered: one line that unfolds. Folded, it costs nothing to render."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QToolButton, QWidget

from ui.chat.code_view import RequestLexer
from ui.chat.message_body import MessageBody
from ui.chat.words import reasoning_title
from ui.look.icons import set_icon
from ui.look.theme import color

HEADER = 26
_INSET = 16


class ReasoningView(QWidget):
    """A header and, unfolded, the reasoning beside a thin line."""

    changed = Signal()
    """Its height is another one now."""

    def __init__(self, request_lexer: RequestLexer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._request_lexer = request_lexer
        self._text = ""
        self._running = False
        self._open = False
        self._body: MessageBody | None = None
        self._header = QToolButton(self)
        self._header.setProperty("role", "quiet")
        self._header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._header.clicked.connect(lambda: self.set_open(not self._open))
        set_icon(self._header, "chevron-right", "text_secondary", 14)

    @property
    def title(self) -> str:
        """The words of the header."""
        return self._header.text()

    @property
    def is_open(self) -> bool:
        return self._open

    def set_open(self, is_open: bool) -> None:
        """Fold or unfold."""
        if is_open != self._open:
            self._open = is_open
            self._on_toggled(is_open)

    def set_reasoning(self, text: str, running: bool, elapsed_ms: float | None, estimated: bool = False) -> None:
        """Show `text`; while `running` it may only grow."""
        title = reasoning_title(running, elapsed_ms, estimated)
        if title != self._header.text():
            self._header.setText(title)
            self._say_name()
        grew, self._text = text != self._text, text
        ended, self._running = self._running and not running, running
        if self._body is not None and (grew or ended):
            self._show_text(ended)

    def work(self, deadline: float) -> bool:
        """Render until `deadline`; True when done."""
        return self._body is None or self._body.work(deadline)

    def arrange(self, width: int) -> int:
        """Place the parts for `width`; the height they take."""
        self._header.setGeometry(0, 0, min(self._header.sizeHint().width() + 8, width), HEADER)
        if self._body is None or self._body.isHidden():
            return HEADER
        height = self._body.arrange(width - _INSET)
        self._body.setGeometry(_INSET, HEADER + 4, width - _INSET, height)
        return HEADER + 4 + height

    def _on_toggled(self, is_open: bool) -> None:
        set_icon(self._header, "chevron-down" if is_open else "chevron-right", "text_secondary", 14)
        if is_open and self._body is None:
            self._body = MessageBody(self._request_lexer, self)
            self._show_text(not self._running)
        if self._body is not None:
            self._body.setVisible(is_open)
        self._say_name()
        self.changed.emit()

    def _say_name(self) -> None:
        self._header.setAccessibleName(f"{self.title}, {'open' if self._open else 'folded'}")

    def _show_text(self, ended: bool) -> None:
        assert self._body is not None
        if ended or not self._text.startswith(self._body.fed_text):
            self._body.set_text(self._text)
        else:
            self._body.feed(self._text[len(self._body.fed_text) :])

    def paintEvent(self, event: QPaintEvent) -> None:
        """The thin line beside the open reasoning."""
        if self._body is not None and not self._body.isHidden():
            QPainter(self).fillRect(2, HEADER + 4, 2, self.height() - HEADER - 4, color("hairline"))
