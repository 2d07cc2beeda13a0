"""Compare: the variants of one source side by side, in a table and in a plot of what they take and lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QFileDialog, QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.errors import AppError
from app.fit.draft_suggestions import Sibling
from app.measure.families import Family, LedgerRow, families, write_csv
from app.quantize.messages import Offer, Offers
from ui.errors import BarArea, ErrorBar, NoticeBar
from ui.look.icons import set_icon
from ui.models.ledger_model import ROW_ROLE, LedgerColumn, LedgerFilter, LedgerModel, point_words, source_names
from ui.models.models_model import ModelsModel
from ui.models.table import ModelTable
from ui.widgets.elided_label import ElidedLabel
from ui.widgets.empty_state import EmptyState
from ui.widgets.figure_table import FigureRow, FigureTable
from ui.words import kl_words, milliseconds, size
from ui.workshop.counterparts import LOOKING, PLAIN_TYPE, TITLES, comparison, is_compared, ready_made_row
from ui.workshop.late_plot import LatePlot
from ui.workshop.plot_points import Axis, Point
from workers.protocol import Failure

_NARROW = 640
_LEAST_NAME = 160
_LEAST_NEEDED_FIRST = (
    LedgerColumn.FIRST_TOKEN,
    LedgerColumn.RECIPE,
    LedgerColumn.TOP_1,
    LedgerColumn.SIZE,
    LedgerColumn.MEMORY,
    LedgerColumn.SPEED,
)
SPEED, MEMORY = "Time of a token", "Memory"
KL, PERPLEXITY = "KL divergence", "Perplexity"
_ACROSS = {SPEED: Axis("A token takes (ms)", False), MEMORY: Axis("Memory (GB)", False)}
_UP = {
    KL: Axis("KL divergence to the source (0: nothing lost)", True),
    PERPLEXITY: Axis("Perplexity (lower is better)", False),
}


class ComparePane(QWidget):
    """Shows what the models page has found; asks for chats and measurements, does nothing itself.

    `head` stands in the page's own head.
    """

    chat_requested = Signal(Path)
    """Path"""
    measure_requested = Signal(tuple)
    """tuple of ModelEntry"""
    models_requested = Signal()
    ready_made_wanted = Signal(LedgerRow)
    """LedgerRow of a pruned model that is shown: what has the hub of about its memory?"""
    offers_wanted = Signal(object, object)
    """Path of the source of a pruned model that is shown, and types: what would each be, as it was not measured?"""
    discover_requested = Signal(str)
    """What to look for"""

    def __init__(self, models: ModelsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._models = models
        self._families: tuple[Family, ...] = ()
        self._asked: LedgerRow | None = None
        """The pruned model that a ready-made one was looked for last."""
        self._offers: dict[Path, dict[str, Offer]] = {}
        self._ledger = LedgerModel(self, flat=True)
        self._rows = LedgerFilter(self._ledger, self)
        self._build()
        models.modelReset.connect(self._on_models_changed)
        models.dataChanged.connect(lambda *_: self._on_models_changed())
        self._on_models_changed()

    def choose(self, path: Path) -> None:
        """Show this model among the variants of its source; of one that is not there the pane stays as it is."""
        family = next((one for one in self._families if any(row.entry.path == path for row in one.rows)), None)
        if family is not None:
            self.show_source(family.source.entry.path)
            self._on_point(path)

    def show_ready_made(self, path: Path, found: Sibling | None, words: str) -> None:
        """The answer for that pruned model; of another than the one shown it counts for nothing."""
        row = self._chosen()
        if row is not None and row.entry.path == path and is_compared(row):
            self.beside.say(words) if found is None else self.beside.show_ready_made(found, words)

    def show_offers(self, offers: Offers) -> None:
        """What types of a source would be: shown where they were not measured."""
        self._offers.setdefault(offers.source, {}).update({offer.type: offer for offer in offers.offers})
        row, family = self._chosen(), self._family()
        if row is not None and family is not None and is_compared(row):
            self.beside.show_rows(comparison(row, family, self._predicted(family)))

    def forget_offers(self) -> None:
        """Their speeds were predicted from another measurement of this computer."""
        self._offers.clear()

    def show_source(self, path: Path) -> None:
        """Show the variants of this model; of one that has none the page stays as it is."""
        number = self.source.findData(str(path))
        if number >= 0:
            self.source.setCurrentIndex(number)

    def export(self, file: Path) -> None:
        """Write every model of the ledger as CSV."""
        rows = [row for family in families(self._models.entries, self._models.figures) for row in family.rows]
        try:
            write_csv(file, rows)
        except AppError as error:
            self.error.show_failure(Failure(error.sentence, error.hint))
            return
        self.notice.show_notice(f"{len(rows)} models are in {file}.")

    # what changes

    def _on_models_changed(self) -> None:
        found = families(self._models.entries, self._models.figures)
        self._families = tuple(family for family in found if family.variants)
        self._ledger.set_loaded(self._models.loaded)
        self._fill_sources()
        empty = not self._families
        self.empty.setVisible(empty)
        self.whole.setVisible(not empty)
        self.source.setVisible(not empty)
        self.export_button.setEnabled(bool(self._models.entries))
        self._show_empty()
        self._show_family()

    def _show_empty(self) -> None:
        """Name the buttons that there are: of what is quantized already nothing is made."""
        self._can_make = any(entry.can_quantize for entry in self._models.entries)
        words = (
            "Choose a model on the Models page and press “Make a Q4” or “Make a Q8” there, then measure what it cost."
            if self._can_make
            else "Here a model stands beside the smaller ones that were made of it. The models you have are quantized "
            "already, and nothing is made of those: on Discover choose “Originals” under the search, open a model and "
            "press “Download and make a Q4”."
        )
        self.empty.say("Nothing to compare yet", words, again=True)
        self.empty.action.setText("Go to Models" if self._can_make else "Go to Discover")

    def _fill_sources(self) -> None:
        chosen = self.source.currentData()
        wanted = [str(family.source.entry.path) for family in self._families]
        if wanted != [self.source.itemData(number) for number in range(self.source.count())]:
            self.source.blockSignals(True)
            self.source.clear()
            names = source_names([family.source.entry for family in self._families])
            for name, path in zip(names, wanted, strict=True):
                self.source.addItem(name, path)
                self.source.setItemData(self.source.count() - 1, path, Qt.ItemDataRole.ToolTipRole)
            self.source.setCurrentIndex(max(0, self.source.findData(chosen)))
            self.source.blockSignals(False)

    def _family(self) -> Family | None:
        path = self.source.currentData()
        return next((family for family in self._families if str(family.source.entry.path) == path), None)

    def _show_family(self) -> None:
        family = self._family()
        self._ledger.set_families((family,) if family else ())
        if family is not None and not self.table.currentIndex().isValid():
            measured = next((row for row in family.variants if row.kl is not None), family.variants[0])
            self.table.setCurrentIndex(self._rows.row_of(measured.entry.path))
        self._show_points()
        self._show_chosen()

    def _show_points(self) -> None:
        family = self._family()
        rows = family.rows if family else ()
        across, up = self.across.currentText(), self.up.currentText()
        points = [point for row in rows if (point := _point(row, across, up)) is not None]
        self.plot.show_points(points, _ACROSS[across], _UP[up])
        self.plot.setVisible(bool(points))
        self.no_points.setVisible(not points)
        missing = self._unmeasured()
        self.measure_all.setVisible(bool(missing))
        self.measure_all.setText(
            f"Measure the {len(missing)} missing" if len(missing) > 1 else "Measure the missing one"
        )
        self.measure_all.setToolTip("Not measured yet: " + ", ".join(row.short_recipe for row in missing))
        self.missing.say(f"{len(points)} of {len(rows)} are in the plot." if len(points) < len(rows) else "")

    def _unmeasured(self) -> list[LedgerRow]:
        family = self._family()
        rows = family.variants if family else ()
        return [row for row in rows if row.entry.can_load and (row.kl is None or row.speed is None)]

    def _chosen(self) -> LedgerRow | None:
        index = self.table.currentIndex()
        return index.data(ROW_ROLE) if index.isValid() else None

    def _show_chosen(self) -> None:
        row = self._chosen()
        self.plot.choose(row.entry.path if row else None)
        self.chosen.say(_words(row) if row else "")
        self.chat.setEnabled(row is not None and row.entry.can_load)
        self.measure.setEnabled(row is not None and row.entry.can_load)
        self._show_beside(row)

    def _show_beside(self, row: LedgerRow | None) -> None:
        family = self._family()
        self.beside.setVisible(is_compared(row))
        if row is None or family is None or not is_compared(row):
            self._asked = None
            return
        self.beside.show_rows(comparison(row, family, self._predicted(family)))
        if row != self._asked:
            self._asked = row
            self.beside.say(LOOKING)
            self.ready_made_wanted.emit(row)
            self._ask_for_offers(row, family)

    def _predicted(self, family: Family) -> dict[str, Offer]:
        return self._offers.get(family.source.entry.path, {})

    def _ask_for_offers(self, row: LedgerRow, family: Family) -> None:
        kind = row.entry.header.quantization if row.entry.header is not None else PLAIN_TYPE
        missing = [one for one in dict.fromkeys((PLAIN_TYPE, kind)) if one not in self._predicted(family)]
        if missing and family.source.entry.is_folder:
            self.offers_wanted.emit(family.source.entry.path, tuple(missing))

    def _show_row(self) -> None:
        self.table.scrollTo(self.table.currentIndex())

    # what the buttons do

    def _on_empty_action(self) -> None:
        self.models_requested.emit() if self._can_make else self.discover_requested.emit("")

    def _on_point(self, path: Path) -> None:
        index = self._rows.row_of(path)
        self.table.setCurrentIndex(index)
        self.table.scrollTo(index)

    def _on_chat(self) -> None:
        if (row := self._chosen()) is not None and row.entry.can_load:
            self.chat_requested.emit(row.entry.path)

    def _on_measure(self) -> None:
        if (row := self._chosen()) is not None:
            self.measure_requested.emit((row.entry,))

    def _on_measure_all(self) -> None:
        self.measure_requested.emit(tuple(row.entry for row in self._unmeasured()))

    def _on_export(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export the ledger", "bantam-ledger.csv", "Table (*.csv)")
        if name:
            self.export(Path(name))

    # how it is laid out

    def _build(self) -> None:
        self.error, self.notice = ErrorBar(self), NoticeBar(self)
        self.table = ModelTable(self._rows, least_name=_LEAST_NAME, least_needed_first=_LEAST_NEEDED_FIRST)
        self.table.setMinimumWidth(_LEAST_NAME)
        self.table.setAccessibleName("The source and its variants")
        self.table.selectionModel().currentRowChanged.connect(lambda *_: self._show_chosen())
        self.table.verticalScrollBar().rangeChanged.connect(lambda *_: self._show_row())  # it has another height now
        self.table.doubleClicked.connect(lambda _index: self._on_chat())
        self.plot = LatePlot()
        self.plot.chosen.connect(self._on_point)
        self.beside = ComparisonView()
        self.beside.discover_requested.connect(self.discover_requested)
        self.no_points = EmptyState("activity")
        self.no_points.say("Not measured yet", "Measure what the variants cost: each becomes a point here.")
        self.empty = EmptyState("wrench")
        self.empty.action.clicked.connect(self._on_empty_action)
        self.whole = QWidget()
        self._lay_out_whole()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self._build_head()
        column.addWidget(BarArea(self.error, self.notice))
        column.addWidget(self.whole, 1)
        column.addWidget(self.empty, 1)

    def _build_head(self) -> None:
        self.source = QComboBox()
        self.source.setAccessibleName("Source whose variants are shown")
        self.source.setMinimumWidth(160)
        self.source.currentIndexChanged.connect(lambda _number: self._show_family())
        self.export_button = QPushButton("Export CSV…")
        self.export_button.setProperty("role", "quiet")
        self.export_button.setToolTip("Write what was measured of all models to a table")
        set_icon(self.export_button, "external-link")
        self.export_button.clicked.connect(self._on_export)
        self.head = QWidget()
        row = QHBoxLayout(self.head)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(16)
        row.addWidget(self.source)
        row.addStretch()
        row.addWidget(self.export_button)

    def _lay_out_whole(self) -> None:
        sides = QHBoxLayout()
        sides.setSpacing(16)
        sides.addWidget(self.table, 5)
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addLayout(self._choices())
        right.addWidget(self.plot, 1)
        right.addWidget(self.no_points, 1)
        sides.addLayout(right, 6)
        column = QVBoxLayout(self.whole)
        column.setContentsMargins(16, 0, 24, 16)
        column.setSpacing(8)
        column.addLayout(sides, 1)
        column.addWidget(self.beside)
        column.addLayout(self._foot())

    def _choices(self) -> QHBoxLayout:
        self.across, self.up = QComboBox(), QComboBox()
        for box, name, words in ((self.up, "Up", _UP), (self.across, "Across", _ACROSS)):
            box.setAccessibleName(f"{name} in the plot")
            box.addItems(list(words))
            box.currentIndexChanged.connect(lambda _number: self._show_points())
        self.missing = ElidedLabel("caption")
        self.missing.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._against = QLabel("against")
        self._against.setProperty("role", "secondary")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.up)
        row.addWidget(self._against)
        row.addWidget(self.across)
        row.addWidget(self.missing, 1)
        return row

    def _foot(self) -> QHBoxLayout:
        self.chosen = ElidedLabel("secondary")
        self.chat = QPushButton("Chat")
        self.chat.setProperty("role", "primary")
        self.chat.clicked.connect(self._on_chat)
        self.measure = QPushButton("Measure what it cost")
        self.measure.setToolTip("Reads a text with this model and with its source, then measures speed and memory")
        self.measure.clicked.connect(self._on_measure)
        self.measure_all = QPushButton()
        self.measure_all.clicked.connect(self._on_measure_all)
        row = QHBoxLayout()
        row.setContentsMargins(8, 0, 0, 0)
        row.setSpacing(8)
        for button in (self.chat, self.measure, self.measure_all):
            row.addWidget(button)
        row.addSpacing(8)
        row.addWidget(self.chosen, 1)
        return row

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the choices out anew. In a narrow pane the word between the two choices makes room for theirs."""
        super().resizeEvent(event)
        self._against.setVisible(event.size().width() >= _NARROW)


def _point(row: LedgerRow, across: str, up: str) -> Point | None:
    speed = row.speed
    y = row.kl if up == KL else row.perplexity
    if speed is None or y is None:
        return None
    x = speed.ms_per_token if across == SPEED else speed.peak_memory_bytes / 1e9
    return Point(row.entry.path, row.short_recipe, x, y, point_words(row), is_source=row.source is None)


def _words(row: LedgerRow) -> str:
    """The figures first: the name stands in the table too, and may be cut off."""
    found = []
    if row.speed is not None:
        found += [f"{milliseconds(row.speed.ms_per_token)} a token", size(row.speed.peak_memory_bytes)]
    if row.kl is not None:
        found.append(f"KL {kl_words(row.kl)}")
    return ", ".join([*found, row.short_recipe or row.entry.name])


# A pruned model beside what it was, and beside the ready-made smaller model of its family on the hub.


_COLUMN_WIDTH = 92
"""“about 1.2 GB”."""
_NARROW_VIEW = 740
_MOST_NEEDED = (1, 2, 4)
"""Memory, time of a token, KL."""


class ComparisonView(QWidget):
    """Renders what it is told."""

    discover_requested = Signal(str)
    """What to look for"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[FigureRow, ...] = ()
        self._found: Sibling | None = None
        self.table = FigureTable(TITLES, _COLUMN_WIDTH)
        self.words = ElidedLabel("secondary")
        self.show_on_discover = QPushButton("Show on Discover")
        self.show_on_discover.clicked.connect(self._on_discover)
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedHeight(1)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.words, 1)
        row.addWidget(self.show_on_discover)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(line)
        column.addWidget(self.table)
        column.addLayout(row)
        self.setMinimumWidth(1)  # narrower than all columns together: some are left out then
        self.say("")

    def show_rows(self, rows: Sequence[FigureRow]) -> None:
        """Show the rows before and after."""
        if tuple(rows) != self._rows:
            self._rows = tuple(rows)
            self._draw()

    def say(self, words: str) -> None:
        """Say something in the place of a ready-made model: that one is looked for, that there is none, that the hub
        is away.
        """
        self._found = None
        self.words.say(words)
        self.show_on_discover.setEnabled(False)
        self._draw()

    def show_ready_made(self, found: Sibling, words: str) -> None:
        """The one to compare with, and what is to be said of it."""
        self._found = found
        self.words.say(words)
        self.show_on_discover.setEnabled(True)
        self._draw()

    def _draw(self) -> None:
        self.table.show_rows([*self._rows, *([ready_made_row(self._found)] if self._found is not None else ())])

    def _on_discover(self) -> None:
        if self._found is not None:
            self.discover_requested.emit(self._found.repository)

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.table.show_columns(_MOST_NEEDED if self.width() < _NARROW_VIEW else range(len(TITLES)))
