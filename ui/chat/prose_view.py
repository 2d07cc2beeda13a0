"""Text that is read: a run of Markdown paragraphs, or one table, as tall as its content. It never scrolls up or down
and fetches nothing; links are handed out, not opened.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QPoint, QRectF, Qt, QUrl
from PySide6.QtGui import QPainter, QPaintEvent, QTextBlock, QTextCursor, QTextOption, QWheelEvent
from PySide6.QtWidgets import QFrame, QTextBrowser, QTextEdit, QWidget

from ui.chat import document_writer as writer
from ui.chat.markdown_stream import Paragraph, Rule, Table
from ui.look.theme import color
from ui.widgets.elided_label import wrap_mode


class TextView(QTextBrowser):
    """A selectable text without a frame, laid out for a width it is given."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setOpenLinks(False)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.viewport().setAutoFillBackground(False)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setLineWrapMode(QTextEdit.LineWrapMode.FixedPixelWidth)
        writer.prepare(self.document())

    def arrange(self, width: int) -> int:
        """Lay the text out for `width` pixels; the height it takes."""
        if self.lineWrapColumnOrWidth() != width:
            self.setLineWrapColumnOrWidth(width)
        return math.ceil(self.document().size().height())

    def text_width(self) -> int:
        """The width the text takes where no line is broken that need not be."""
        return math.ceil(self.document().idealWidth())

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        """Nothing is ever fetched."""
        return None

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The transcript scrolls, not the text; sideways only where there is a bar for it."""
        if abs(event.angleDelta().x()) > abs(event.angleDelta().y()) and self.horizontalScrollBar().maximum():
            super().wheelEvent(event)
        else:
            event.ignore()


class PlainView(TextView):
    """Text as it was typed."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrapMode(wrap_mode(text))
        writer.append_block(self.document(), Paragraph(()), first=True)
        cursor = QTextCursor(self.document())
        cursor.insertText(text)


class ProseView(TextView):
    """Paragraphs that can be replaced from any one on, so that a growing text costs its last paragraph."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._starts: list[int] = []
        self._blocks: list[Paragraph | Rule] = []
        self._has_quotes = False

    def replace_from(self, first: int, blocks: Sequence[Paragraph | Rule]) -> None:
        """Show a change: from paragraph `first` on, the text is `blocks`."""
        if any(wrap_mode(_text_of(block)) is QTextOption.WrapMode.WrapAnywhere for block in blocks):
            self.setWordWrapMode(QTextOption.WrapMode.WrapAnywhere)
        edit = QTextCursor(self.document())
        edit.beginEditBlock()
        if blocks and first == len(self._starts) - 1 and self._rewrite_end(self._blocks[-1], blocks[0]):
            first, blocks = first + 1, blocks[1:]
        if first < len(self._starts):
            writer.cut_from(self.document(), self._starts[first])
            del self._starts[first:]
            del self._blocks[first:]
        self._blocks.extend(blocks)
        for block in blocks:
            self._starts.append(writer.append_block(self.document(), block, first=not self._starts))
            self._has_quotes |= isinstance(block, Paragraph) and block.quote > 0
        edit.endEditBlock()
        links = any(run.address for block in blocks if isinstance(block, Paragraph) for run in block.runs)
        if links:
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def _rewrite_end(self, old: Paragraph | Rule, new: Paragraph | Rule) -> bool:
        """The last paragraph only goes on: keep the runs that stay as they are."""
        if not (isinstance(old, Paragraph) and isinstance(new, Paragraph)):
            return False
        if replace(old, runs=()) != replace(new, runs=()):
            return False
        self._blocks[-1] = new
        separator = 1 if len(self._starts) > 1 else 0
        writer.rewrite_runs(self.document(), self._starts[-1] + separator, old, new)
        return True

    def paintEvent(self, event: QPaintEvent) -> None:
        """The bar at the left of quotes, which a text document cannot draw."""
        if self._has_quotes:
            painter = QPainter(self.viewport())
            block = self.cursorForPosition(QPoint(0, event.rect().top())).block()
            while block.isValid() and self._draw_quote_bars(painter, block) < event.rect().bottom():
                block = block.next()
            painter.end()
        super().paintEvent(event)

    def _draw_quote_bars(self, painter: QPainter, block: QTextBlock) -> float:
        rect = self.document().documentLayout().blockBoundingRect(block)
        for depth in range(block.blockFormat().intProperty(writer.QUOTE_PROPERTY)):
            bar = QRectF(depth * writer.INDENT * 0.7, rect.top() - 4, 3, rect.height() + 4)
            painter.fillRect(bar, color("outline"))
        return rect.bottom()


def _text_of(block: Paragraph | Rule) -> str:
    return "".join(run.text for run in block.runs) if isinstance(block, Paragraph) else ""


class TableView(TextView):
    """One table; wider ones scroll sideways."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setWordWrapMode(QTextOption.WrapMode.WordWrap)

    def set_table(self, table: Table) -> None:
        """Show `table` instead of what was there."""
        writer.write_table(self.document(), table)
        self.moveCursor(QTextCursor.MoveOperation.Start)

    def arrange(self, width: int) -> int:
        """Make it as tall as the table, and the bar where one is needed."""
        height = super().arrange(width)
        too_wide = self.document().size().width() > width
        return height + (self.horizontalScrollBar().sizeHint().height() if too_wide else 0)
