"""The panel on the right: how fast the model answers against the target, and what it takes of the memory.

It renders what the engine says and at most ten times a second; it knows no service but the signals.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QFormLayout, QFrame, QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from app.engine.messages import AnswerStatistics, MemoryNeed, ModelLoaded, PromptReady, ThreadCounts, Token
from app.operation import Progress, Stage
from app.operation_words import STAGE_WORDS
from app.units import grouped
from ui.drafts.picker import DraftingRows
from ui.look.theme import color, text_font, tokens
from ui.words import STATE_WORDS, milliseconds, size
from workers.engine.client import EngineState
from workers.memory_sampler import MemorySample

if TYPE_CHECKING:
    from workers.engine.client import ChatEngine


WIDTH = 280
REPAINT_MS = 100
_RECENT_TOKENS = 16
"""While it answers, the large figure is the mean of these: steady enough to be read, quick enough to show a change."""
_NONE = "–"


class PerformancePanel(QWidget):
    """Figures, plot and memory bar. Every number has its place reserved, so that nothing jumps."""

    def __init__(self, engine: ChatEngine, target_ms: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._target_ms = target_ms
        self._recent: deque[float] = deque(maxlen=_RECENT_TOKENS)
        self._answer_rate = 0.0
        """The rate of the whole answer, once it has ended; 0 while the recent tokens are all there is."""
        self._tokens_of_answer = 0
        self._asked_at = time.monotonic()
        self._stage: Progress | None = None
        self._state = engine.state
        self._need = engine.model.need if engine.model else None
        self._build()
        self._repaint_clock = QTimer(self, interval=REPAINT_MS, singleShot=True)
        self._repaint_clock.timeout.connect(self._render)
        self._connect(engine)
        self.set_target(target_ms)
        if engine.model is not None:
            self._on_model_loaded(engine.model)
        self._render()

    def set_target(self, ms: int) -> None:
        """The target of the settings, ms a token."""
        self._target_ms = ms
        self.plot.set_target(ms)
        self._render_speed()

    @Slot(object)
    def show_memory(self, sample: MemorySample) -> None:
        """Connected to the sampler, once a second."""
        self.engine_memory.setText(_engine_memory(sample.child_bytes, self._need))
        ours = sample.window_bytes + sample.jobs_bytes
        self.memory.set_parts(
            memory_parts(sample.total_bytes, sample.available_bytes, sample.child_bytes, ours, self._need)
        )

    # what the engine says

    def _connect(self, engine: ChatEngine) -> None:
        engine.state_changed.connect(self._on_state_changed)
        engine.progress.connect(self._on_progress)
        engine.model_loaded.connect(self._on_model_loaded)
        engine.prompt_ready.connect(self._on_prompt_ready)
        engine.token.connect(self._on_token)
        engine.drafting.connect(self.drafting.show_figures)
        engine.answer_finished.connect(self._on_answer_finished)
        engine.threads_measured.connect(self._show_threads)

    def _on_state_changed(self, state: EngineState) -> None:
        self._state = state
        if state is EngineState.GENERATING:
            self._asked_at = time.monotonic()
        if state is not EngineState.GENERATING:
            self._stage = None
        if state in (EngineState.EMPTY, EngineState.CRASHED):
            self._need = None
            self.drafting.show_sources(None)
            self.threads.setText(_NONE)
        self._render_soon()

    def _on_progress(self, progress: Progress) -> None:
        self._stage = progress if progress.done < progress.total or not progress.total else None
        self._render_soon()

    def _on_model_loaded(self, model: ModelLoaded) -> None:
        self._need = model.need
        self._show_threads(model.threads)
        self.drafting.show_sources(model)

    def _show_threads(self, threads: ThreadCounts) -> None:
        self.threads.setText(f"{threads.decode} answering, {threads.prefill} reading")

    def _on_prompt_ready(self, prompt: PromptReady) -> None:
        self._tokens_of_answer, self._answer_rate = 0, 0.0
        self._recent.clear()
        self.first_token.setText(_NONE)
        self.prompt.setText(f"reused {grouped(prompt.reused_tokens)} of {grouped(prompt.prompt_tokens)} tokens")

    def _on_token(self, token: Token) -> None:
        self._stage = None
        self._tokens_of_answer += 1
        if self._tokens_of_answer == 1:  # as seen here; the answer's own statistics replace it
            self.first_token.setText(milliseconds((time.monotonic() - self._asked_at) * 1000))
        else:  # the first one's forward pass was the prefill
            self._recent.append(token.ms)
            self.plot.add(token.ms)
        self._render_soon()

    def _on_answer_finished(self, answer: AnswerStatistics) -> None:
        self.first_token.setText(milliseconds(answer.time_to_first_token_ms) if answer.new_tokens else _NONE)
        self._recent.clear()
        self._answer_rate = answer.tokens_per_second
        if answer.drafting is not None:
            self.drafting.show_figures(answer.drafting)
        self._render()

    # what is shown

    def _render_soon(self) -> None:
        if not self._repaint_clock.isActive():
            self._repaint_clock.start()

    def _render(self) -> None:
        self._render_stage()
        self._render_speed()
        self.plot.update()

    def _render_stage(self) -> None:
        stage = self._stage
        self.state.setText(_stage_words(stage) if stage else STATE_WORDS[self._state])
        busy = stage is not None and stage.total > 0
        self.progress.setVisible(busy)
        if stage is not None and busy:
            self.progress.setRange(0, stage.total)
            self.progress.setValue(stage.done)

    def _render_speed(self) -> None:
        """One speed in two units: what a token takes is what the rate says, the other way round."""
        rate = self._answer_rate or _rate(self._recent)
        if not rate:
            _show(self.figure, _NONE, "no figure")
            _show(self.verdict, "no answer yet", "secondary")
            self.rate.setText(_NONE)
            return
        ms = 1000 / rate
        _show(self.figure, f"{ms:.1f}" if ms < 9.95 else grouped(round(ms)), "figure")
        self.rate.setText(f"{rate:.1f} tokens/s")
        under = ms <= self._target_ms
        words = f"{'under' if under else 'over'} the target of {grouped(self._target_ms)} ms"
        _show(self.verdict, words, "success" if under else "warning")

    # how it is laid out

    def _build(self) -> None:
        self.setProperty("role", "side")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(WIDTH)
        self.setAccessibleName("Performance")
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(0)
        column.addWidget(_label("Speed", "strong"))
        column.addSpacing(4)
        self._build_state(column)
        column.addSpacing(8)
        self._build_figure(column)
        column.addSpacing(8)
        self.plot = SpeedPlot()
        column.addWidget(self.plot)
        column.addSpacing(16)
        self._build_rows(column)
        self.drafting = DraftingRows()
        column.addWidget(self.drafting)
        column.addSpacing(16)
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedHeight(1)
        column.addWidget(line)
        column.addSpacing(16)
        column.addWidget(_label("Memory", "strong"))
        column.addSpacing(8)
        self.memory = MemoryBar()
        column.addWidget(self.memory)
        column.addSpacing(8)
        self.engine_memory = _label("", "caption")
        column.addWidget(self.engine_memory)
        column.addStretch()

    def _build_state(self, column: QVBoxLayout) -> None:
        self.state = _label("", "secondary")
        self.state.setAccessibleName("State of the engine")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress")
        keep = self.progress.sizePolicy()
        keep.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(keep)
        column.addWidget(self.state)
        column.addSpacing(4)
        column.addWidget(self.progress)

    def _build_figure(self, column: QVBoxLayout) -> None:
        self.figure = _label(_NONE, "figure")
        self.figure.setFont(text_font(tokens().size_figure, strong=True, tabular=True))
        self.figure.setAccessibleName("Milliseconds a token")
        unit = _label("ms a token on average", "secondary")
        self.verdict = _label("", "secondary")
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.figure, 0, Qt.AlignmentFlag.AlignBaseline)
        row.addWidget(unit, 1, Qt.AlignmentFlag.AlignBaseline)
        column.addLayout(row)
        column.addWidget(self.verdict)

    def _build_rows(self, column: QVBoxLayout) -> None:
        self.rate, self.first_token, self.prompt, self.threads = (_value_label() for _ in range(4))
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(8)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for word, value in (
            ("Rate", self.rate),
            ("First token", self.first_token),
            ("Prompt", self.prompt),
            ("Threads", self.threads),
        ):
            value.setAccessibleName(word)
            form.addRow(_label(word, "secondary"), value)
        column.addLayout(form)


def _rate(ms_of_tokens: Collection[float]) -> float:
    """Tokens a second; 0 where there are none."""
    whole = sum(ms_of_tokens)
    return 1000 * len(ms_of_tokens) / whole if whole else 0.0


def _stage_words(progress: Progress) -> str:
    words = STAGE_WORDS[progress.stage]
    if progress.stage is Stage.PREFILL:
        return f"{words}: {grouped(progress.done)} of {grouped(progress.total)} tokens"
    return f"{words}: {100 * progress.done // progress.total} %" if progress.total else words


def _engine_memory(resident_bytes: int, need: MemoryNeed | None) -> str:
    """What was foreseen beside what is: two figures that should be nearly the same."""
    if need is None or not resident_bytes:
        return ""
    return f"The engine: {size(resident_bytes)}, predicted {size(need.resident_bytes)}"


def _show(label: QLabel, text: str, role: str) -> None:
    label.setText(text)
    if label.property("role") != role:
        label.setProperty("role", role)
        label.style().polish(label)


def _label(text: str, role: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", role)
    return label


def _value_label() -> QLabel:
    label = QLabel(_NONE)
    label.setFont(text_font(tabular=True))
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    return label


# The memory of the computer as one bar with a legend: what the model takes, what others take, what is free.


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


# The live plot: ms of the last 240 tokens against the target, painted by hand: the window loads no plot library.


SHOWN_TOKENS = 240
_MOST_ABOVE_TARGET = 2.5
"""A single token slower than this many targets is cut at the top: it must not flatten all others."""


class SpeedPlot(QWidget):
    """One step a token, the newest at the right; a dashed line with its label is the target."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values: deque[float] = deque(maxlen=SHOWN_TOKENS)
        self._target_ms = 200.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Plot of the time of the last 240 tokens")

    @property
    def values(self) -> tuple[float, ...]:
        """The ms shown, the oldest first."""
        return tuple(self._values)

    def set_target(self, ms: float) -> None:
        self._target_ms = ms
        self.update()

    def add(self, ms: float) -> None:
        """One more token. Does not repaint: whoever adds calls `update` at its own pace."""
        self._values.append(ms)

    def clear(self) -> None:
        self._values.clear()
        self.update()

    def top_ms(self) -> float:
        """The value at the upper edge: a round number that leaves the target line in sight."""
        slowest = min(max(self._values, default=0.0), self._target_ms * _MOST_ABOVE_TARGET)
        wanted = max(self._target_ms * 1.25, slowest * 1.05, 1.0)
        step = 10 ** math.floor(math.log10(wanted)) / 2
        return math.ceil(wanted / step) * step

    def sizeHint(self) -> QSize:
        return QSize(248, 128)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(text_font(tokens().size_caption, tabular=True))
        line_height = painter.fontMetrics().height()
        area = QRectF(0, line_height / 2, self.width(), self.height() - line_height * 1.5 - 4)
        self._paint_frame(painter, area)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_values(painter, area)
        self._paint_target(painter, area)

    def _paint_frame(self, painter: QPainter, area: QRectF) -> None:
        painter.setPen(QPen(color("hairline"), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.setPen(color("text_secondary"))
        below = QRectF(0, area.bottom() + 4, self.width(), self.height() - area.bottom() - 4)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"last {SHOWN_TOKENS} tokens")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, "now")

    def _paint_values(self, painter: QPainter, area: QRectF) -> None:
        if not self._values:
            return
        line = self._line(area)
        fill = QPolygonF(line)
        fill.append(QPointF(line.last().x(), area.bottom()))
        fill.append(QPointF(line.first().x(), area.bottom()))
        shade = QColor(color("accent"))
        shade.setAlpha(36)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shade)
        painter.drawPolygon(fill)
        painter.setPen(QPen(color("accent"), 1.5))
        painter.drawPolyline(line)

    def _line(self, area: QRectF) -> QPolygonF:
        top, step = self.top_ms(), area.width() / (SHOWN_TOKENS - 1)
        first_x = area.right() - step * (len(self._values) - 1)
        line = QPolygonF()
        for index, value in enumerate(self._values):
            line.append(QPointF(first_x + index * step, area.bottom() - min(value / top, 1.0) * area.height()))
        if line.size() == 1:
            line.append(line.first() + QPointF(1, 0))
        return line

    def _paint_target(self, painter: QPainter, area: QRectF) -> None:
        y = round(area.bottom() - self._target_ms / self.top_ms() * area.height()) + 0.5
        label = f"target {self._target_ms:,.0f} ms"
        width = painter.fontMetrics().horizontalAdvance(label)
        painter.setPen(QPen(color("text_secondary"), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(width + 8, y), QPointF(area.right(), y))
        height = painter.fontMetrics().height()
        place = QRectF(0, y - height / 2, width + 6, height)
        backing = color("side")
        backing.setAlpha(210)
        painter.fillRect(place, backing)  # the values may run behind the words
        painter.setPen(color("text_secondary"))
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, label)
