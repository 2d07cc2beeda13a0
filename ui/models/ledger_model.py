"""The ledger as a tree of rows: a source, under it what was made of it. Kept beside `ModelsModel`, which feeds it.

A row knows its ModelEntry (ENTRY_ROLE) and its LedgerRow (ROW_ROLE). Two levels: the internal id of an index is 0 for
a source, and the number of its source's row plus one for a variant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, QSortFilterProxyModel, Qt

from app.library.library import ModelEntry
from app.measure.families import Family, LedgerRow
from app.measure.ledger import Measurement
from app.measure.messages import Estimate, Quality
from app.units import grouped
from ui.look.theme import color
from ui.models.models_model import ENTRY_ROLE, LOADED_ROLE
from ui.words import kl_words, milliseconds, share_words, size

# How models are called in a list to choose one from: two of one name told apart, what was pruned named as such.


def originals_first(entries: Sequence[ModelEntry]) -> tuple[ModelEntry, ...]:
    """The entries in their order, but those that were pruned or trained here at the end."""
    return tuple(sorted(entries, key=lambda entry: entry.is_altered))


def source_names(entries: Sequence[ModelEntry]) -> tuple[str, ...]:
    """A name for each: with the folders it lies in, as many as tell it from the others, and with what was done
    to it.

    "stdlib-3m", "mine/stdlib-3m-ffn512, pruned".
    """
    return tuple(
        f"{name}, {entry.alteration}" if entry.alteration else name
        for entry, name in zip(entries, _told_apart(entries), strict=True)
    )


def _told_apart(entries: Sequence[ModelEntry]) -> list[str]:
    names, depth = [entry.name for entry in entries], 1
    deepest = max((len(entry.path.parts) for entry in entries), default=0)
    while depth < deepest and (twice := {name for name, count in Counter(names).items() if count > 1}):
        depth += 1
        names = [
            "/".join((*entry.path.parts[-depth:-1], entry.name)).replace("//", "/") if name in twice else name
            for entry, name in zip(entries, names, strict=True)
        ]
    return names


ROW_ROLE = Qt.ItemDataRole.UserRole + 4
NAME_ROLE = Qt.ItemDataRole.UserRole + 5
"""The upper line of the first column."""
CAPTION_ROLE = Qt.ItemDataRole.UserRole + 6
"""The lower one."""
_SORT_ROLE = Qt.ItemDataRole.UserRole + 7
_Index = QModelIndex | QPersistentModelIndex


class LedgerColumn(IntEnum):
    """The columns in their order."""

    NAME = 0
    RECIPE = 1
    SIZE = 2
    MEMORY = 3
    SPEED = 4
    FIRST_TOKEN = 5
    KL = 6
    TOP_1 = 7


TITLES = {
    LedgerColumn.NAME: ("Name", ""),
    LedgerColumn.RECIPE: ("Recipe", "How it was made, or what its weights are stored as"),
    LedgerColumn.SIZE: ("Size", "On disk"),
    LedgerColumn.MEMORY: ("Memory", "The most it took while it was measured, with 4,096 tokens of context"),
    LedgerColumn.SPEED: ("A token", "How long a token of an answer takes, measured on this computer"),
    LedgerColumn.FIRST_TOKEN: ("First token", "How long it takes to read 256 tokens and begin the answer"),
    LedgerColumn.KL: ("KL", "KL divergence to the source: how far its choice of words is from it. 0: not at all"),
    LedgerColumn.TOP_1: ("Top-1", "How often its first choice is that of the source"),
}
_WORDS = frozenset({LedgerColumn.NAME, LedgerColumn.RECIPE})


class LedgerModel(QAbstractItemModel):
    """`set_families` keeps selection and scrolling where the rows stay the same.

    `flat` puts variants beside their source, and calls each by what it is: for a table of one family.
    """

    def __init__(self, parent: QObject | None = None, *, flat: bool = False) -> None:
        super().__init__(parent)
        self._flat = flat
        self._families: tuple[Family, ...] = ()
        self._loaded: Path | None = None

    @property
    def families(self) -> tuple[Family, ...]:
        return self._families

    @property
    def has_variants(self) -> bool:
        """Whether some row stands under another."""
        return any(family.variants for family in self._families)

    def row_of(self, path: Path) -> LedgerRow | None:
        return next((row for family in self._families for row in family.rows if row.entry.path == path), None)

    def set_families(self, families: Sequence[Family]) -> None:
        """Show these; where the models are the same, only their values change."""
        new = tuple(Family(row) for family in families for row in family.rows) if self._flat else tuple(families)
        if new == self._families:
            return
        if _paths(new) == _paths(self._families):
            self._families = new
            self._announce()
            return
        self.beginResetModel()
        self._families = new
        self.endResetModel()

    def set_loaded(self, path: Path | None) -> None:
        """Mark the row of the model that is in memory."""
        if path != self._loaded:
            self._loaded = path
            self._announce()

    def _announce(self) -> None:
        last = len(LedgerColumn) - 1
        if self._families:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._families) - 1, last))
        for number, family in enumerate(self._families):
            if family.variants:
                source = self.index(number, 0)
                self.dataChanged.emit(self.index(0, 0, source), self.index(len(family.variants) - 1, last, source))

    def _row(self, index: _Index) -> LedgerRow:
        number = index.internalId()
        if number == 0:
            return self._families[index.row()].source
        return self._families[number - 1].variants[index.row()]

    # Qt overrides

    def index(self, row: int, column: int, parent: _Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        return self.createIndex(row, column, parent.row() + 1 if parent.isValid() else 0)

    def parent(self, index: _Index = QModelIndex()) -> QModelIndex:  # type: ignore[override] # noqa: B008
        if not index.isValid() or index.internalId() == 0:
            return QModelIndex()
        return self.createIndex(index.internalId() - 1, 0, 0)

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        if not parent.isValid():
            return len(self._families)
        if parent.internalId() or parent.column():
            return 0
        return len(self._families[parent.row()].variants)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return len(LedgerColumn)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        column = LedgerColumn(section)
        if role == Qt.ItemDataRole.DisplayRole:
            return TITLES[column][0]
        if role == Qt.ItemDataRole.ToolTipRole:
            return TITLES[column][1]
        return _alignment(column) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = self._row(index), LedgerColumn(index.column())
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._name(row) if column is LedgerColumn.NAME else cell(row, column)
            case _ if role == ENTRY_ROLE:
                return row.entry
            case _ if role == ROW_ROLE:
                return row
            case _ if role == LOADED_ROLE:
                return row.entry.path == self._loaded
            case _ if role == _SORT_ROLE:
                return sort_key(row, column)
            case _ if role == NAME_ROLE:
                return self._name(row)
            case _ if role == CAPTION_ROLE:
                return row.entry.problem or row.entry.path.name
            case _:
                return self._look(row, column, role)

    def _name(self, row: LedgerRow) -> str:
        if not self._flat:
            return row.entry.name
        return f"{row.short_recipe or 'Safetensors'}, the source" if row.source is None else row.short_recipe

    def _look(self, row: LedgerRow, column: LedgerColumn, role: int) -> Any:
        entry = row.entry
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(filter(None, (entry.problem, str(entry.path), row.recipe, conditions_words(row))))
        if role == Qt.ItemDataRole.ForegroundRole and entry.problem:
            return color("text_secondary")
        if role == Qt.ItemDataRole.AccessibleTextRole and column is LedgerColumn.NAME:
            loaded = "loaded, " if entry.path == self._loaded else ""
            made = f"made of {row.source.name}, {row.recipe}, " if row.source else ""
            return f"{entry.name}, {made}{loaded}{entry.problem or size(entry.size_bytes)}"
        return None


class LedgerFilter(QSortFilterProxyModel):
    """Sorts by the numbers behind the words, what was not measured last; keeps the rows with every word of the text.

    A source stays while one of its variants does, and variants stay with their source.
    """

    def __init__(self, source: LedgerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: list[str] = []
        self.setRecursiveFilteringEnabled(True)
        self.setAutoAcceptChildRows(True)
        self.setSourceModel(source)
        self.setSortRole(_SORT_ROLE)
        self.sort(LedgerColumn.NAME)

    def set_text(self, text: str) -> None:
        """Words of name, architecture, quantization, recipe and file name, in any order."""
        self._words = text.casefold().split()
        self.invalidate()

    def entry_at(self, index: _Index) -> ModelEntry | None:
        return index.data(ENTRY_ROLE) if index.isValid() else None

    def row_of(self, path: Path) -> QModelIndex:
        """The first cell of that file's row; invalid where it is not shown."""
        for index in self._all():
            if index.data(ENTRY_ROLE).path == path:
                return index
        return QModelIndex()

    def first(self) -> QModelIndex:
        """The first row that has the words itself."""
        rows = self._all()
        return next((index for index in rows if self._has_words(index.data(ROW_ROLE))), QModelIndex())

    def _all(self) -> list[QModelIndex]:
        found = []
        for row in range(self.rowCount()):
            source = self.index(row, 0)
            found += [source, *(self.index(child, 0, source) for child in range(self.rowCount(source)))]
        return found

    def _has_words(self, row: LedgerRow) -> bool:
        entry, header = row.entry, row.entry.header
        text = f"{entry.name} {entry.path.name} {row.recipe} "
        text += f"{header.architecture} {header.quantization}" if header else ""
        return all(word in text.casefold() for word in self._words)

    # Qt overrides

    def filterAcceptsRow(self, source_row: int, source_parent: _Index) -> bool:
        return self._has_words(self.sourceModel().index(source_row, 0, source_parent).data(ROW_ROLE))

    def lessThan(self, left: _Index, right: _Index) -> bool:
        one, other = left.data(_SORT_ROLE), right.data(_SORT_ROLE)
        if one is None or other is None:
            last_is_less = self.sortOrder() is Qt.SortOrder.DescendingOrder
            return (one is None and other is not None) if last_is_less else (other is None and one is not None)
        return one < other


def cell(row: LedgerRow, column: LedgerColumn) -> str:
    """The words of one cell; "" where it was not measured."""
    speed = row.speed
    match column:
        case LedgerColumn.NAME:
            return row.entry.name
        case LedgerColumn.RECIPE:
            return row.recipe
        case LedgerColumn.SIZE:
            return size(row.entry.size_bytes) if row.entry.size_bytes else ""
        case LedgerColumn.KL:
            return kl_words(row.kl)
        case LedgerColumn.TOP_1:
            return share_words(row.top_1)
        case _ if speed is None:
            return ""
        case LedgerColumn.MEMORY:
            return size(speed.peak_memory_bytes)
        case LedgerColumn.SPEED:
            return milliseconds(speed.ms_per_token)
        case _:
            return milliseconds(speed.time_to_first_token_ms)


def sort_key(row: LedgerRow, column: LedgerColumn) -> Any:
    """None where there is nothing to sort by."""
    speed = row.speed
    match column:
        case LedgerColumn.NAME | LedgerColumn.RECIPE:
            return cell(row, column).casefold()
        case LedgerColumn.SIZE:
            return row.entry.size_bytes or None
        case LedgerColumn.KL:
            return row.kl
        case LedgerColumn.TOP_1:
            return row.top_1
        case LedgerColumn.MEMORY:
            return speed.peak_memory_bytes if speed else None
        case LedgerColumn.SPEED:
            return speed.ms_per_token if speed else None
        case _:
            return speed.time_to_first_token_ms if speed else None


def _paths(families: Sequence[Family]) -> list[list[Path]]:
    return [[row.entry.path for row in family.rows] for family in families]


def _alignment(column: LedgerColumn) -> Qt.AlignmentFlag:
    horizontal = Qt.AlignmentFlag.AlignLeft if column in _WORDS else Qt.AlignmentFlag.AlignRight
    return horizontal | Qt.AlignmentFlag.AlignVCenter


# What was measured, in words: cells, facts, tool tips. "" where it was not measured.


def facts_of(row: LedgerRow) -> list[tuple[str, str]]:
    """(word, value) pairs for the details; none where nothing was measured."""
    return [*_quality_facts(row.quality), *_speed_facts(row)]


def conditions_words(row: LedgerRow) -> str:
    """The words under what the figures were measured: "On 4,080 tokens of the bundled text, in windows of 512; 24 Nov
    2026".
    """
    lines = []
    if row.quality is not None:
        lines.append(f"Measured on {_text_words(row.quality)} ({row.quality.date[:10]}).")
    if row.other_qualities:
        others = "; ".join(_other_words(one) for one in row.other_qualities[:3])
        lines.append(f"Not comparable with these: {others}.")
    return " ".join(lines)


def point_words(row: LedgerRow) -> str:
    """The numbers of a variant, one a line, for the tool tip of its point."""
    facts = (
        ("Size", size(row.entry.size_bytes)),
        ("KL divergence", kl_words(row.kl)),
        ("Top-1", share_words(row.top_1)),
        ("Perplexity", "" if row.perplexity is None else f"{row.perplexity:.2f}"),
        *_speed_facts(row),
    )
    return "\n".join([row.short_recipe, row.entry.path.name, *(f"{word}: {value}" for word, value in facts if value)])


def summary(result: Quality) -> str:
    """One sentence for a measurement that has ended."""
    found = []
    if result.kl_mean is not None and result.top_1 is not None and result.reference is not None:
        found.append(f"KL {kl_words(result.kl_mean.value)} to {result.reference.name}")
        found.append(f"top-1 {share_words(result.top_1.value)}")
    else:
        found.append(f"perplexity {result.perplexity.value:.2f}")
    if result.speed is not None:
        found.append(f"{milliseconds(result.speed.ms_per_token_median)} a token")
    return f"{result.path.name} was measured: {', '.join(found)}."


def _quality_facts(quality: Measurement | None) -> list[tuple[str, str]]:
    if quality is None:
        return []
    facts = []
    if quality.kl_mean is not None:
        facts.append(("KL divergence", f"{kl_words(quality.kl_mean.value)} ± {kl_words(quality.kl_mean.error)}"))
    if quality.kl_99 is not None:
        facts.append(("KL, 99 % below", kl_words(quality.kl_99)))
    if quality.top_1 is not None:
        facts.append(("Top-1", f"{share_words(quality.top_1.value)} ± {share_words(quality.top_1.error)}"))
    if quality.perplexity is not None:
        facts.append(("Perplexity", _with_source(quality.perplexity, quality.reference_perplexity)))
    return facts


def _with_source(perplexity: Estimate, reference: Estimate | None) -> str:
    words = f"{perplexity.value:.2f} ± {perplexity.error:.2f}"
    return words if reference is None else f"{words} (source {reference.value:.2f})"


def _speed_facts(row: LedgerRow) -> list[tuple[str, str]]:
    speed = row.speed
    if speed is None:
        return []
    return [
        ("A token takes", milliseconds(speed.ms_per_token)),
        ("First token after", milliseconds(speed.time_to_first_token_ms)),
        ("Peak memory", size(speed.peak_memory_bytes)),
    ]


def _text_words(measurement: Measurement) -> str:
    where = measurement.conditions
    text = "the bundled text" if where.text.startswith("bundled ") else where.text
    return f"{grouped(where.scored_tokens)} tokens of {text}, in windows of {grouped(where.context_tokens)}"


def _other_words(measurement: Measurement) -> str:
    found = []
    if measurement.perplexity is not None:
        found.append(f"perplexity {measurement.perplexity.value:.2f}")
    if measurement.kl_mean is not None and measurement.reference is not None:
        found.append(f"KL {kl_words(measurement.kl_mean.value)} to {measurement.reference.name}")
    return f"{' and '.join(found) or 'nothing'} on {_text_words(measurement)}"
