"""One tensor from all sides: histogram, channels, errors; or that it is being read, or why it cannot be."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from app.inspect.messages import TensorLook, TensorRow
from ui.inspect.channel_plot import ChannelPlot
from ui.inspect.error_table import ErrorTable
from ui.inspect.histogram_plot import HistogramPlot
from ui.inspect.words import breakable, channels_words, facts_words, histogram_words
from ui.widgets.empty_state import EmptyState

_EMPTY, _BUSY, _LOOK = range(3)


class TensorView(QWidget):
    """Shows; asks with `inputs_requested` for what flows into the tensor."""

    inputs_requested = Signal(object)
    """TensorRow"""
    again_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row: TensorRow | None = None
        self._by_inputs = False
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
        for widget in (self.errors, self.meaning):
            widget.setVisible(bool(look.errors))
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
