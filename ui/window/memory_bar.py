"""The memory of the computer as one bar with a legend: what the model takes, what others take, what is free."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.engine.need import MemoryNeed
from ui.look.theme import color, text_font
from ui.words import size

_BAR_HEIGHT = 12
_ROW_HEIGHT = 20
_NOTHING = MemoryNeed(0, 0, 0)


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """One piece of the bar. `token` names its colour, "" is the unfilled rest."""

    word: str
    count_bytes: int
    token: str


def memory_parts(
    total_bytes: int, available_bytes: int, child_bytes: int, window_bytes: int, need: MemoryNeed | None
) -> tuple[MemoryPart, ...]:
    """Split what is resident now. The engine's memory goes to weights, KV cache and buffers up to what each needs.

    The parts add up to `total_bytes`.
    """
    planned = need or _NOTHING
    weights = min(planned.weights_bytes, child_bytes)
    kv = min(planned.kv_bytes, child_bytes - weights)
    buffers = min(planned.compute_bytes, child_bytes - weights - kv)
    draft = min(planned.draft_bytes, child_bytes - weights - kv - buffers)
    rest = child_bytes - weights - kv - buffers - draft + window_bytes
    others = max(0, total_bytes - available_bytes - weights - kv - buffers - draft - rest)
    free = max(0, total_bytes - weights - kv - buffers - draft - rest - others)
    beside = (MemoryPart("Draft model", draft, "memory_draft"),) if planned.draft_bytes else ()
    return (
        MemoryPart("Weights", weights, "memory_weights"),
        MemoryPart("Conversation (KV cache)", kv, "memory_kv"),
        MemoryPart("Working buffers", buffers, "memory_buffers"),
        *beside,
        MemoryPart("Rest of Bantam", rest, "memory_rest"),
        MemoryPart("Other programs", others, "memory_others"),
        MemoryPart("Free", free, ""),
    )


class MemoryBar(QWidget):
    """Painted by hand: the bar, and under it a row for each part with its swatch, word and GB."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts = memory_parts(0, 0, 0, 0, None)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Memory")

    @property
    def parts(self) -> tuple[MemoryPart, ...]:
        return self._parts

    def set_parts(self, parts: tuple[MemoryPart, ...]) -> None:
        """Show these, the first at the left."""
        if parts == self._parts:
            return
        self._parts = parts
        self.updateGeometry()  # a draft has a row of its own
        self.setAccessibleDescription(", ".join(f"{part.word} {size(part.count_bytes)}" for part in parts))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(248, _BAR_HEIGHT + 8 + _ROW_HEIGHT * len(self._parts))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_bar(painter)
        painter.setFont(text_font(tabular=True))
        for row, part in enumerate(self._parts):
            self._paint_row(painter, part, _BAR_HEIGHT + 8 + row * _ROW_HEIGHT)

    def _paint_bar(self, painter: QPainter) -> None:
        whole = QRectF(0.5, 0.5, self.width() - 1, _BAR_HEIGHT - 1)
        edge = QPainterPath()
        edge.addRoundedRect(whole, 3, 3)
        painter.save()
        painter.setClipPath(edge)
        total, x = sum(part.count_bytes for part in self._parts) or 1, whole.left()
        for part in self._parts:
            width = whole.width() * part.count_bytes / total
            if part.token and part.count_bytes:
                # A page-coloured gap parts the neighbours for who cannot tell their colours apart.
                painter.fillRect(QRectF(x, whole.top(), max(width - 1, 1.0), whole.height()), color(part.token))
            x += width
        painter.restore()
        painter.setPen(QPen(color("outline"), 1))
        painter.drawPath(edge)

    def _paint_row(self, painter: QPainter, part: MemoryPart, top: int) -> None:
        swatch = QRectF(0.5, top + 5.5, 9, 9)
        painter.setPen(QPen(color(part.token or "outline"), 1))
        painter.setBrush(color(part.token) if part.token else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(swatch, 2, 2)
        row = QRectF(18, top, self.width() - 18, _ROW_HEIGHT)
        centre = Qt.AlignmentFlag.AlignVCenter
        painter.setPen(color("text_secondary"))
        painter.drawText(row, centre | Qt.AlignmentFlag.AlignLeft, part.word)
        painter.setPen(QPen(color("text")))
        painter.drawText(row, centre | Qt.AlignmentFlag.AlignRight, size(part.count_bytes))
