"""What is known of the chosen model, and what can be done with it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.library.library import ModelEntry, ModelSource
from app.library.safetensors import FolderFacts
from app.measure.families import LedgerRow
from app.units import grouped
from ui.look.theme import text_font
from ui.models.ledger_model import conditions_words, facts_of
from ui.models.make_smaller import MakeSmaller
from ui.models.models_model import SOURCE_WORDS
from ui.widgets.button_row import ButtonRow
from ui.widgets.elided_label import ElidedLabel
from ui.widgets.scrolled import HighAsContent
from ui.words import size

_COLUMNS = 3
_NARROW = 600
"""Pixels, below which two columns of facts have room."""


class ModelDetails(QWidget):
    """The pane under the table. Asks; does nothing itself."""

    chat_requested = Signal(ModelEntry)
    load_requested = Signal(ModelEntry)
    unload_requested = Signal()
    delete_requested = Signal(ModelEntry)
    verify_requested = Signal(ModelEntry)
    measure_requested = Signal(ModelEntry)
    inside_requested = Signal(ModelEntry)
    show_requested = Signal(ModelEntry)
    """The entry whose folder is to be opened"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry: ModelEntry | None = None
        self.title = _plain_label("title")
        self.problem = _plain_label("danger")
        self.problem.setWordWrap(True)
        self.note = _plain_label("secondary")
        self.note.setWordWrap(True)
        self.smaller = MakeSmaller()
        self.path = _plain_label("caption")
        self.path.setWordWrap(True)
        self.path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.sha256 = _plain_label("caption")
        self.sha256.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.conditions = _plain_label("caption")
        self.conditions.setWordWrap(True)
        self.made = _plain_label("secondary")
        self.made.setWordWrap(True)
        self.measure_words = _plain_label("caption")
        self.measure_words.setWordWrap(True)
        self._facts = QGridLayout()
        self._facts.setHorizontalSpacing(8)
        self._facts.setVerticalSpacing(4)
        self._explains = False
        self._known: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
        self._build_buttons()
        self._lay_out()
        self.show_entry(None, loaded=False, busy=False)

    def show_entry(self, entry: ModelEntry | None, *, loaded: bool, busy: bool) -> None:
        """Show this row. `busy`: a model is being loaded now."""
        self._entry = entry
        self.setVisible(entry is not None)
        if entry is None:
            self.smaller.show_entry(None)
            return
        self.title.setText(entry.name)
        self.problem.setText(entry.problem)
        self.problem.setVisible(bool(entry.problem))
        self.path.setText(str(entry.path))
        self.note.setText(entry.note)
        self.note.setVisible(bool(entry.note))
        self.smaller.show_entry(entry)
        self.chat.setVisible(not entry.is_folder)
        self.chat.setEnabled(entry.can_load and not busy)
        self.load.setVisible(not loaded and not entry.is_folder)
        self.load.setEnabled(entry.can_load and not busy)
        self.unload.setVisible(loaded)
        self.delete.setVisible(entry.source is not ModelSource.STARTER)
        self.delete.setText(_delete_words(entry))
        self.show_folder.setEnabled(entry.path.parent.exists())
        self.verify.setEnabled(bool(entry.parts) and not entry.is_folder)
        self.inside.setEnabled(entry.is_folder or (entry.header is not None and not entry.problem))
        self.measure.setVisible(not entry.is_folder)
        self.measure.setEnabled(entry.can_load)
        self.measure.setText("Measure what it cost" if entry.parent is not None else "Measure")
        self.made.setText(_made_words(entry))
        self.made.setVisible(bool(self.made.text()))
        self.sha256.setVisible(entry.origin is not None)
        self.sha256.setText(f"sha256 {entry.origin.sha256}" if entry.origin is not None else "")

    def show_row(self, row: LedgerRow | None, reference: Path | None) -> None:
        """Show what was measured of it, and what it would be compared with."""
        facts = _facts(self._entry) if self._entry is not None else []
        self._known = facts, facts_of(row) if row is not None else []
        words = conditions_words(row) if row is not None else ""
        self.conditions.setText(words)
        self.conditions.setVisible(bool(words))
        if self._entry is not None:
            measured = row is not None and row.quality is not None and row.speed is not None
            self.measure_words.setText(measure_words(self._entry, reference))
            self._explains = self._entry.can_load and not measured
            self.measure.setToolTip(self.measure_words.text())
        self._fit()

    def _fit(self) -> None:
        """Lay it out anew. In a narrow page the table keeps its rows: what "Measure" does is said by its tool tip
        alone.
        """
        narrow = self.width() < _NARROW
        self.measure_words.setVisible(self._explains and not narrow)
        facts, measured = self._known
        columns = _COLUMNS - 1 if narrow else _COLUMNS
        begin = [("", "")] * (-len(facts) % columns) if measured else []  # what was measured begins a line of its own
        _fill(self._facts, [*facts, *begin, *measured], columns)

    def _build_buttons(self) -> None:
        self.chat = QPushButton("Chat")
        self.chat.setProperty("role", "primary")
        self.chat.clicked.connect(lambda: self.chat_requested.emit(self._entry))
        self.load = QPushButton("Load")
        self.load.setToolTip("Load it into memory and stay here")
        self.load.clicked.connect(lambda: self.load_requested.emit(self._entry))
        self.unload = QPushButton("Unload")
        self.unload.setToolTip("Give its memory back")
        self.unload.clicked.connect(self.unload_requested)
        self.verify = QPushButton("Verify")
        self.verify.setToolTip("Read every byte and compare it with what was downloaded, made or installed")
        self.verify.clicked.connect(lambda: self.verify_requested.emit(self._entry))
        self.measure = QPushButton("Measure")
        self.measure.clicked.connect(lambda: self.measure_requested.emit(self._entry))
        self.inside = QPushButton("Look inside…")
        self.inside.setToolTip("Its tensors: how their weights lie, and what storing them in fewer bits would do")
        self.inside.clicked.connect(lambda: self.inside_requested.emit(self._entry))
        self.show_folder = QPushButton("Show in folder")
        self.show_folder.clicked.connect(lambda: self.show_requested.emit(self._entry))
        self.delete = QPushButton("Delete")
        self.delete.setProperty("role", "danger")
        self.delete.clicked.connect(lambda: self.delete_requested.emit(self._entry))

    def _lay_out(self) -> None:
        buttons = ButtonRow(
            self.chat, self.load, self.unload, self.measure, self.verify, self.inside, self.show_folder, self.delete,
            ends_right=True,
        )  # fmt: skip
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedHeight(1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(line)
        whole.addWidget(HighAsContent(self._column()))
        foot = QVBoxLayout()
        foot.setContentsMargins(24, 12, 24, 16)
        foot.setSpacing(8)
        foot.addLayout(buttons)
        foot.addWidget(self.measure_words)
        whole.addLayout(foot)

    def _column(self) -> QWidget:
        """What is known: where the page is low it scrolls, and the buttons below it do not."""
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(24, 16, 24, 0)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.problem)
        column.addWidget(self.made)
        column.addWidget(self.note)
        column.addLayout(self._facts)
        column.addWidget(self.smaller)
        small = QVBoxLayout()
        small.setSpacing(2)
        for label in (self.conditions, self.path, self.sha256):
            small.addWidget(label)
        column.addLayout(small)
        return content

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if (event.size().width() < _NARROW) != (event.oldSize().width() < _NARROW):
            self._fit()


def _fill(grid: QGridLayout, facts: list[tuple[str, str]], columns: int) -> None:
    while (item := grid.takeAt(0)) is not None:
        if (widget := item.widget()) is not None:
            widget.hide()
            widget.deleteLater()
    for number, (word, value) in enumerate(facts):
        row, column = divmod(number, columns)
        grid.addWidget(_plain_label("secondary", word), row, column * 2)
        label = ElidedLabel("")
        label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        label.setFont(text_font(tabular=True))
        label.say(value)
        grid.addWidget(label, row, column * 2 + 1)
    for column in range(_COLUMNS):
        grid.setColumnStretch(column * 2 + 1, 1 if column < columns else 0)


def _facts(entry: ModelEntry) -> list[tuple[str, str]]:
    header = entry.header
    if header is None:
        sizes = [("Size", size(entry.size_bytes)), ("Where", SOURCE_WORDS[entry.source])]
        return [*_folder_facts(entry.facts), *sizes, *_origin(entry)] if entry.facts is not None else sizes
    return [
        ("Architecture", header.architecture),
        ("Parameters", header.parameters_str),
        ("Quantization", header.quantization),
        ("Context", f"{grouped(header.context_tokens)} tokens" if header.context_tokens else "not said"),
        ("Layers", grouped(header.layers)),
        ("Vocabulary", f"{grouped(header.vocabulary)} tokens"),
        ("Size", size(entry.size_bytes) + (f" in {header.split_count} parts" if header.split_count > 1 else "")),
        ("Chat template", "yes" if header.has_chat_template else "no: a plain one is used"),
        ("Licence", header.license or "not said"),
        *_origin(entry),
    ]


def _folder_facts(facts: FolderFacts) -> list[tuple[str, str]]:
    quantized = f"{facts.prequantized.upper()}, quantized already" if facts.prequantized else ""
    rows = (
        ("Architecture", facts.architecture or "not said"),
        ("Parameters", _count_words(facts.parameters) if facts.parameters else "not said"),
        ("Weights", quantized or facts.type or "not said"),
        ("Context", f"{grouped(facts.context_tokens)} tokens" if facts.context_tokens else "not said"),
        ("Layers", grouped(facts.layers) if facts.layers else "not said"),
        ("Vocabulary", f"{grouped(facts.vocabulary)} tokens" if facts.vocabulary else "not said"),
    )
    return list(rows)


def measure_words(entry: ModelEntry, reference: Path | None) -> str:
    """What "Measure" does for this model, in one or two sentences."""
    if reference is None and entry.parent is not None:
        return (
            "Measuring: its source is not here, so what was lost cannot be told. Perplexity, speed and memory are "
            "measured, in about two minutes."
        )
    if reference is None:
        return (
            "Measuring: a text is read to see how well each word of it is predicted (perplexity), then a short answer "
            "is written, for speed and memory. About two minutes."
        )
    source = reference.name
    first = "" if reference.suffix.lower() == ".gguf" else f"{source} is converted to a file that goes afterwards; "
    return (
        f"Measuring: {first}a text is read with this model and with {source}, and what they think is compared word by "
        "word. Then a short answer is written, for speed and memory. Some minutes."
    )


def _origin(entry: ModelEntry) -> list[tuple[str, str]]:
    origin = entry.origin
    if origin is None or not origin.repository:
        return []
    return [("From", origin.repository), ("Version", origin.revision[:8]), ("Downloaded", origin.date[:10])]


def _made_words(entry: ModelEntry) -> str:
    origin, source = entry.origin, entry.parent
    if origin is None or not origin.recipe:
        return ""
    return f"Made of {source.name}: {origin.recipe}" if source is not None else f"Made as {origin.recipe}"


def _plain_label(role: str, text: str = "") -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)  # names and licences come from whoever made the file
    if role:
        label.setProperty("role", role)
    return label


def _delete_words(entry: ModelEntry) -> str:
    if entry.can_delete:
        return "Delete"
    return "Take its folder off the list" if entry.source is ModelSource.EXTRA_FOLDER else "Take off the list"


def _count_words(count: int) -> str:
    """ "1.7 B" or "135 M"."""
    return f"{count / 1e9:.1f} B" if count >= 10**9 else f"{count / 1e6:.0f} M"
