"""One tensor from all sides: histogram, channels, errors; or that it is being read, or why it cannot be."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPen, QPolygonF
from PySide6.QtWidgets import (
    QGridLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.inspect.messages import ChannelPicture, Histogram, MethodError, TensorLook, TensorRow
from app.units import grouped
from ui.inspect.words import breakable, channels_words, facts_words, histogram_words, noise_words
from ui.look.theme import color
from ui.widgets.bar_picture import BarPicture
from ui.widgets.empty_state import EmptyState

_EMPTY, _BUSY, _LOOK = range(3)


class TensorView(QWidget):
    """Shows; asks with `inputs_requested` for what flows into the tensor."""

    inputs_requested = Signal(TensorRow)
    """TensorRow"""
    again_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row: TensorRow | None = None
        self.title, self.facts = _label("title"), _label("secondary")
        self.empty = EmptyState("boxes")
        self.empty.action.clicked.connect(self.again_requested)
        self.busy = _label("secondary")
        self.busy.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.histogram, self.channels, self.errors = HistogramPlot(), ChannelPlot(), ErrorTable()
        self.figures, self.standing_out, self.notes = _label("caption"), _label("caption"), _label("caption")
        self.channels_title = _label("strong")
        self.meaning = _label("secondary")
        self.errors.explained.connect(self.meaning.setText)
        self.inputs = QPushButton("Look at its inputs")
        self.inputs.setToolTip("Read a thousand tokens with the model: channels may stand out by what flows into them")
        self.inputs.clicked.connect(lambda: self.inputs_requested.emit(self._row))
        self.pages = QStackedWidget()
        for page in (self.empty, self._busy_page(), self._look_page()):
            self.pages.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.title)
        column.addWidget(self.facts)
        column.addSpacing(4)
        column.addWidget(self.pages, 1)
        self.say("Choose a tensor", "Its weights, and what storing them in fewer bits would do to them, appear here.")

    def say(self, title: str, text: str, *, again: bool = False) -> None:
        """Nothing to show, and why."""
        self._set_head("", "")
        self.empty.say(title, text, again=again)
        self.pages.setCurrentIndex(_EMPTY)

    def wait(self, row: TensorRow, words: str = "Reading its weights…") -> None:
        """It is being read."""
        self._row = row
        self._set_head(row.name, facts_words(row))
        self.busy.setText(words)
        self.pages.setCurrentIndex(_BUSY)

    def show_look(self, look: TensorLook, *, can_read_inputs: bool) -> None:
        """The pictures and the table; channels by their inputs where those are known."""
        self._row = look.tensor
        self._set_head(look.tensor.name, facts_words(look.tensor))
        self.histogram.show_histogram(look.histogram)
        self.figures.setText(histogram_words(look.histogram))
        picture = look.pictures[-1] if look.pictures else None
        for widget in (self.channels, self.channels_title, self.standing_out):
            widget.setVisible(picture is not None)
        if picture is not None:
            self.channels.show_picture(picture)
            self.channels_title.setText(f"Input channels, by their {picture.measure}")
            self.standing_out.setText(channels_words(picture))
        measured = picture is not None and picture.measure == "inputs"
        self.inputs.setVisible(picture is not None and can_read_inputs and not measured and look.tensor.block >= 0)
        self.errors.show_errors(look.errors)
        for below in (self.errors, self.meaning):
            below.setVisible(bool(look.errors))
        self.notes.setText(" ".join(look.notes))
        self.notes.setVisible(bool(look.notes))
        self.pages.setCurrentIndex(_LOOK)

    def _set_head(self, title: str, facts: str) -> None:
        self.title.setText(breakable(title))
        self.title.setVisible(bool(title))
        self.facts.setText(facts)
        self.facts.setVisible(bool(facts))

    def _busy_page(self) -> QWidget:
        page = QWidget()
        bar = QProgressBar(minimum=0, maximum=0)
        bar.setTextVisible(False)
        bar.setAccessibleName("Reading")
        bar.setMaximumWidth(240)
        column = QVBoxLayout(page)
        column.addStretch()
        column.addWidget(self.busy)
        column.addWidget(bar, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch()
        return page

    def _look_page(self) -> QWidget:
        page = QWidget()
        pictures = QGridLayout()  # so that both stand on one line, however long the words below are
        pictures.setHorizontalSpacing(24)
        pictures.setVerticalSpacing(4)
        pictures.setRowStretch(1, 1)
        for number, side in enumerate(
            (
                (_label("strong", "Weights"), self.histogram, self.figures),
                (self.channels_title, self.channels, self.standing_out),
            )
        ):
            pictures.setColumnStretch(number, 1)
            for row, widget in enumerate(side):
                pictures.addWidget(widget, row, number)
        for words in (self.figures, self.standing_out):
            words.setAlignment(Qt.AlignmentFlag.AlignTop)
        pictures.addWidget(self.inputs, 3, 1, Qt.AlignmentFlag.AlignLeft)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(pictures, 2)
        column.addWidget(self.notes)
        column.addWidget(self.errors, 3)
        column.addWidget(self.meaning)
        return page


def _label(role: str, text: str = "") -> QLabel:
    label = QLabel(text)
    label.setProperty("role", role)
    label.setTextFormat(Qt.TextFormat.PlainText)  # names come from whoever made the file
    label.setWordWrap(True)
    return label


# What each way of storing a tensor in fewer bits would do to its weights, as a table.


_NAME, _BITS, _RMSE, _NOISE, _WORDS = range(5)
_USUAL = "Q4_K"
_NUMBERS = (_BITS, _RMSE, _NOISE)


class ErrorTable(QTreeWidget):
    """A row a method, in the order they come. Whoever shows it gives the current row's sentence room to be whole."""

    explained = Signal(str)
    """The sentence of the row that is current now"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Errors of each way to store the tensor")
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(True)
        self.setHeaderLabels(["Stored as", "Bits a weight", "RMSE", "Signal to noise", "What it means"])
        self.currentItemChanged.connect(lambda item, _: self.explained.emit(item.toolTip(_WORDS) if item else ""))
        header = self.header()
        for column, width in ((_NAME, 200), (_BITS, 96), (_RMSE, 76), (_NOISE, 98)):
            header.resizeSection(column, width)
        header.setSectionResizeMode(_WORDS, QHeaderView.ResizeMode.Stretch)
        for column in _NUMBERS:
            self.headerItem().setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def show_errors(self, errors: Sequence[MethodError]) -> None:
        self.clear()
        for error in errors:
            rmse = "—" if error.problem else "0" if error.exact else f"{error.rmse:.3g}"
            words = error.problem or error.words
            item = QTreeWidgetItem(self, [error.name, f"{error.bits:.2f}", rmse, noise_words(error), words])
            for column in _NUMBERS:
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            for column in (_NAME, _WORDS):
                item.setToolTip(column, f"{error.name}: {words}")
            if error.problem:
                for column in range(5):
                    item.setForeground(column, color("text_secondary"))
        usual = self.findItems(_USUAL, Qt.MatchFlag.MatchExactly, _NAME)
        if (row := usual[0] if usual else self.topLevelItem(0)) is not None:
            self.setCurrentItem(row)


# The histogram of a tensor's weights.


class HistogramPlot(BarPicture):
    """Bars from -range to +range; what lies outside stands as a number with an arrow at either end."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Histogram of the weights", parent)
        self._found: Histogram | None = None

    def show_histogram(self, found: Histogram) -> None:
        self._found = found
        self.setAccessibleDescription(histogram_words(found))
        self.update()

    def paint(self, painter: QPainter, area: QRectF) -> None:
        if self._found is not None:
            self._paint_bars(painter, area, self._found)
            self._paint_words(painter, area, self._found)

    def _paint_bars(self, painter: QPainter, area: QRectF, found: Histogram) -> None:
        most, width = max(1, *found.counts), area.width() / len(found.counts)
        for number, count in enumerate(found.counts):
            height = count / most * area.height()
            if count:
                left = area.left() + number * width
                bar = QRectF(left, area.bottom() - max(height, 1.0), max(1.0, width - 0.5), max(height, 1.0))
                painter.fillRect(bar, color("accent"))
        middle = area.center().x()
        painter.setPen(QPen(color("outline"), 1, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(middle, area.top()), QPointF(middle, area.bottom()))

    def _paint_words(self, painter: QPainter, area: QRectF, found: Histogram) -> None:
        painter.setPen(color("text_secondary"))
        below = QRectF(0, area.bottom() + 4, self.width(), self.height() - area.bottom() - 4)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{found.low:.3g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{found.high:.3g}")
        above = QRectF(0, 0, self.width(), area.top())
        if found.below:
            painter.drawText(above, Qt.AlignmentFlag.AlignLeft, f"← {grouped(found.below)} below")
        if found.above:
            painter.drawText(above, Qt.AlignmentFlag.AlignRight, f"{grouped(found.above)} above →")


# The input channels of a tensor by their strength, those that stand out marked with a triangle and their number.


_LEAST_TOP = 1.3
_NUMBERED = 6


class ChannelPlot(BarPicture):
    """One bar for each stretch of channels; a dashed line is where standing out begins, if it is in sight."""

    gap = 8

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Strength of the input channels", parent)
        self._picture: ChannelPicture | None = None

    def show_picture(self, picture: ChannelPicture) -> None:
        self._picture = picture
        self.setAccessibleDescription(channels_words(picture))
        self.update()

    @property
    def top(self) -> float:
        """Times the median at the upper edge."""
        assert self._picture is not None
        return max(_LEAST_TOP, max(self._picture.bars) * 1.05)

    def paint(self, painter: QPainter, area: QRectF) -> None:
        if self._picture is not None:
            self._paint_bars(painter, area, self._picture)
            self._paint_marks(painter, area, self._picture)
            self._paint_words(painter, area, self._picture)

    def _paint_bars(self, painter: QPainter, area: QRectF, picture: ChannelPicture) -> None:
        width = area.width() / len(picture.bars)
        for number, times in enumerate(picture.bars):
            height = times / self.top * area.height()
            far = times >= picture.threshold
            bar = QRectF(area.left() + number * width, area.bottom() - height, max(1.0, width - 0.5), height)
            painter.fillRect(bar, color("danger" if far else "accent"))
        if picture.threshold < self.top:
            y = round(area.bottom() - picture.threshold / self.top * area.height()) + 0.5
            painter.setPen(QPen(color("text_secondary"), 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))

    def _paint_marks(self, painter: QPainter, area: QRectF, picture: ChannelPicture) -> None:
        """A triangle above each, and the numbers of the strongest where they have room."""
        metrics, taken = painter.fontMetrics(), list[QRectF]()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for rank, channel in enumerate(picture.outliers):
            x = area.left() + (channel.number + 0.5) / picture.channels * area.width()
            y = max(area.top(), area.bottom() - channel.times / self.top * area.height()) - 2
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color("danger"))
            painter.drawPolygon(QPolygonF([QPointF(x - 3, y - 5), QPointF(x + 3, y - 5), QPointF(x, y)]))
            width = metrics.horizontalAdvance(str(channel.number)) + 4
            left = min(max(0.0, x - width / 2), self.width() - width)
            place = QRectF(left, y - 6 - metrics.height(), width, metrics.height())
            if rank < _NUMBERED and not any(place.intersects(other) for other in taken):
                painter.setPen(color("text"))
                painter.drawText(place, Qt.AlignmentFlag.AlignCenter, str(channel.number))
                taken.append(place)

    def _paint_words(self, painter: QPainter, area: QRectF, picture: ChannelPicture) -> None:
        painter.setPen(color("text_secondary"))
        below = QRectF(0, area.bottom() + 4, self.width(), self.height() - area.bottom() - 4)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, f"{max(picture.bars):.1f} × the median at most")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, str(picture.channels - 1))
