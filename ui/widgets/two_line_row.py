"""A row of a list with two lines, and words at its right end: painted the same wherever models are chosen."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QStyle, QStyleOptionViewItem

from ui.look.theme import color, text_font, tokens

ROW_HEIGHT = 48


def paint_row(
    painter: QPainter, option: QStyleOptionViewItem, title: str, facts: str, words: str, tone: str, *, muted: bool
) -> None:
    """`title` over `facts`, elided; `words` in the colour `tone` at the right. A muted row cannot be chosen."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    selected = bool(option.state & QStyle.StateFlag.State_Selected)
    if selected or (option.state & QStyle.StateFlag.State_MouseOver and not muted):
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color("selected" if selected else "hover"))
        painter.drawRoundedRect(option.rect, tokens().radius, tokens().radius)
    inside = option.rect.adjusted(10, 6, -10, -6)
    painter.setFont(text_font())
    painter.setPen(color(tone))
    painter.drawText(inside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
    right = painter.fontMetrics().horizontalAdvance(words) + 16 if words else 0
    _paint_lines(painter, inside.adjusted(0, 0, -right, 0), title, facts, muted)
    painter.restore()


def _paint_lines(painter: QPainter, area: QRect, title: str, facts: str, muted: bool) -> None:
    upper = QRect(area.left(), area.top(), area.width(), area.height() // 2)
    lower = QRect(area.left(), upper.bottom() + 1, area.width(), area.height() // 2)
    painter.setFont(text_font(strong=True))
    painter.setPen(color("text_secondary" if muted else "text"))
    metrics, middle = painter.fontMetrics(), Qt.AlignmentFlag.AlignVCenter
    painter.drawText(upper, middle, metrics.elidedText(title, Qt.TextElideMode.ElideMiddle, area.width()))
    painter.setFont(text_font(tokens().size_caption, tabular=True))
    painter.setPen(color("text_secondary"))
    text = painter.fontMetrics().elidedText(facts, Qt.TextElideMode.ElideRight, area.width())
    painter.drawText(lower, middle, text)
