"""Writes Markdown blocks into a QTextDocument with a cursor: text goes in as text, so nothing in it can be markup."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import takewhile

from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QColor,
    QFontDatabase,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextLength,
    QTextListFormat,
    QTextTableCellFormat,
    QTextTableFormat,
)

from ui.chat.markdown_stream import Paragraph, Rule, Run, Style, Table
from ui.look.theme import color
from ui.look.tokens import Tokens, tokens

INDENT = 22
QUOTE_PROPERTY = QTextFormat.Property.UserProperty.value + 1
_LINE_HEIGHT_PERCENT = 128.0
_ALIGNMENT = {"center": Qt.AlignmentFlag.AlignHCenter, "right": Qt.AlignmentFlag.AlignRight}


def prepare(document: QTextDocument) -> None:
    """No margins, no undo: the views place the text."""
    document.setDocumentMargin(0)
    document.setUndoRedoEnabled(False)
    document.setIndentWidth(INDENT)


def append_block(document: QTextDocument, block: Paragraph | Rule, first: bool) -> int:
    """Write `block` at the end; the position where it begins."""
    cursor = QTextCursor(document)
    cursor.movePosition(QTextCursor.MoveOperation.End)
    start = cursor.position()
    form = _block_format(block, first)
    if first:
        cursor.setBlockFormat(form)
        cursor.setBlockCharFormat(QTextCharFormat())
    else:
        cursor.insertBlock(form, QTextCharFormat())
    if isinstance(block, Paragraph):
        if block.marker:
            cursor.createList(_list_format(block))
        write_runs(cursor, block.runs, block.heading, muted=block.quote > 0)
    return start


def cut_from(document: QTextDocument, start: int) -> None:
    """Remove what `append_block` wrote from the position `start` on."""
    cursor = QTextCursor(document)
    cursor.setPosition(start)
    cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
    cursor.removeSelectedText()
    if start == 0 and cursor.currentList() is not None:
        cursor.currentList().remove(cursor.block())


def write_runs(cursor: QTextCursor, runs: tuple[Run, ...], heading: int = 0, muted: bool = False) -> None:
    """Insert runs of text at the cursor."""
    for run in runs:
        cursor.insertText(run.text, char_format(run, heading, muted))


def rewrite_runs(document: QTextDocument, start: int, old: Paragraph, new: Paragraph) -> None:
    """Turn the last paragraph, whose text begins at `start` and is `old`, into `new` from the first difference on."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old.runs, new.runs, strict=False)))
    rest = new.runs[same:]
    keep = start + sum(_units(run.text) for run in old.runs[:same])
    if same == len(old.runs) - 1 and rest and _goes_on(old.runs[same], rest[0]):
        grown = old.runs[same]
        keep += _units(grown.text)
        rest = (replace(rest[0], text=rest[0].text[len(grown.text) :]), *rest[1:])
    cursor = QTextCursor(document)
    cursor.setPosition(keep)
    cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
    cursor.removeSelectedText()
    write_runs(cursor, rest, new.heading, muted=new.quote > 0)


def write_table(document: QTextDocument, table: Table) -> None:
    """Make `table` all there is in the document."""
    document.clear()
    cursor = QTextCursor(document)
    cursor.beginEditBlock()  # one layout at the end, not one for each cell
    columns = max(len(row) for row in table.rows)
    grid = cursor.insertTable(len(table.rows), columns, _table_format(columns))
    for y, row in enumerate(table.rows):
        for x, runs in enumerate(row):
            cell = grid.cellAt(y, x)
            cell.setFormat(_cell_format(last=y == len(table.rows) - 1))
            inside = cell.firstCursorPosition()
            form = QTextBlockFormat()
            form.setAlignment(_ALIGNMENT.get(table.alignment[x] if x < len(table.alignment) else "", _leading()))
            inside.setBlockFormat(form)
            write_runs(inside, tuple(Run(r.text, r.style | Style.BOLD, r.address) for r in runs) if y == 0 else runs)
    cursor.endEditBlock()


def char_format(run: Run, heading: int = 0, muted: bool = False) -> QTextCharFormat:
    """How a run looks in the theme that is in force."""
    form = _plain_format(run.style, heading, muted, tokens())
    if run.address:
        form = QTextCharFormat(form)
        form.setAnchor(True)
        form.setAnchorHref(run.address)
        form.setForeground(color("accent"))
        form.setFontUnderline(True)
    return form


@lru_cache(maxsize=256)
def _plain_format(style: Style, heading: int, muted: bool, table: Tokens) -> QTextCharFormat:
    form = QTextCharFormat()
    form.setForeground(QColor(table.text_secondary if muted else table.text))
    if style & Style.BOLD or heading:
        form.setFontWeight(600)
    if heading in (1, 2):
        form.setProperty(QTextFormat.Property.FontPixelSize, table.size_title)
    form.setFontItalic(bool(style & Style.ITALIC))
    form.setFontStrikeOut(bool(style & Style.STRIKE))
    if style & Style.CODE:
        form.setFontFamilies(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).families())
        form.setFontFixedPitch(True)
        form.setBackground(QColor(table.raised))
    return form


def _goes_on(old: Run, new: Run) -> bool:
    return (old.style, old.address) == (new.style, new.address) and new.text.startswith(old.text)


def _units(text: str) -> int:
    """Positions in a document count UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def _block_format(block: Paragraph | Rule, first: bool) -> QTextBlockFormat:
    form = QTextBlockFormat()
    form.setLineHeight(_LINE_HEIGHT_PERCENT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
    if isinstance(block, Rule):
        form.setProperty(
            QTextFormat.Property.BlockTrailingHorizontalRulerWidth,
            QTextLength(QTextLength.Type.PercentageLength, 100),
        )
        form.setProperty(QTextFormat.Property.BackgroundBrush, color("hairline"))
        return form
    form.setTopMargin(0 if first else _space_above(block))
    if block.quote:
        form.setLeftMargin(block.quote * INDENT * 0.7)
        form.setProperty(QUOTE_PROPERTY, block.quote)
    if block.heading:
        form.setHeadingLevel(block.heading)
    if not block.marker:
        form.setIndent(block.indent)
    return form


def _space_above(block: Paragraph) -> int:
    space = tokens().space
    if block.heading:
        return space * 2
    return space // 2 if block.marker else space


def _list_format(block: Paragraph) -> QTextListFormat:
    form = QTextListFormat()
    form.setIndent(block.indent)
    if block.marker == "•":
        form.setStyle(QTextListFormat.Style.ListDisc)
    else:
        form.setStyle(QTextListFormat.Style.ListDecimal)
        form.setStart(int(block.marker.rstrip(".")))
    return form


def _table_format(columns: int) -> QTextTableFormat:
    form = QTextTableFormat()
    form.setBorderCollapse(True)
    form.setBorder(0)
    form.setCellSpacing(0)
    form.setHeaderRowCount(1)
    form.setColumnWidthConstraints([QTextLength()] * columns)
    return form


def _cell_format(last: bool) -> QTextTableCellFormat:
    form = QTextTableCellFormat()
    form.setLeftPadding(tokens().space)
    form.setRightPadding(tokens().space * 1.5)
    form.setTopPadding(tokens().space / 2)
    form.setBottomPadding(tokens().space / 2)
    if not last:
        form.setBottomBorder(1)
        form.setBottomBorderStyle(QTextTableFormat.BorderStyle.BorderStyle_Solid)
        form.setBottomBorderBrush(color("hairline"))
    return form


def _leading() -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignLeft
