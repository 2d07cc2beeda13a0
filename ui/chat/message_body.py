"""The Markdown of one message as a stack of views: prose, tables, code. Changed from a block on, never as a whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from time import perf_counter

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QFrame, QLabel, QTextEdit, QVBoxLayout, QWidget

from app.units import grouped
from ui.chat.code_view import CodeView, RequestLexer
from ui.chat.document_writer import INDENT
from ui.chat.markdown_stream import Block, Change, Code, MarkdownStream, Paragraph, Table, render
from ui.chat.prose_view import ProseView, TableView
from ui.look.theme import color

SPACE = 12
PROSE_BLOCKS = 60
"""A prose view takes so many paragraphs, then the next one begins: none grows without bound."""
_PARAGRAPHS_A_STEP = 6

View = ProseView | TableView | CodeView


@dataclass(slots=True)
class _Segment:
    """One view and the blocks it shows: `first` is the index of its first one."""

    view: View
    first: int
    count: int
    indent: int = 0
    height: int = 0
    stale: bool = True


class MessageBody(QWidget):
    """Shows blocks. `blocks_written` counts what was rendered, for tests of what a tick costs."""

    address_clicked = Signal(str)

    def __init__(self, request_lexer: RequestLexer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.blocks_written = 0
        self.blocks: list[Block] = []
        self._request_lexer = request_lexer
        self._segments: list[_Segment] = []
        self._stream: MarkdownStream | None = None
        self._reader: Iterator[tuple[Block, ...]] | None = None
        self._queue: deque[Block] = deque()
        self._read = 0
        self._width = 0

    @property
    def fed_text(self) -> str:
        """What was fed so far; "" for a text that is not growing."""
        return self._stream.text if self._stream is not None else ""

    def set_text(self, text: str) -> None:
        """Show a finished text instead of what is there; `work` does it, and rewrites only what differs."""
        self._stream = None
        self._reader = render(text)
        self._read, self._queue = 0, deque()
        for segment in self._segments:
            if isinstance(segment.view, CodeView):
                segment.view.finish()

    def restart(self) -> None:
        """A text that will be fed from its beginning: nothing is shown until then."""
        self._reader = None
        self._queue.clear()
        self._drop_from(0)
        self._stream = MarkdownStream()

    def feed(self, text: str) -> None:
        """More of a text that is being written: the finished blocks stay, the last one is written again."""
        if self._stream is None:
            self.restart()
        assert self._stream is not None
        self.apply(self._stream.feed(text))

    def work(self, deadline: float) -> bool:
        """Render and colour until `deadline` (perf_counter seconds); True when nothing is left."""
        while self._reader is not None or self._queue:
            if self._queue:
                self._write_next()
            else:
                self._read_step()
            if perf_counter() >= deadline:
                return False
        code = (segment.view for segment in self._segments if isinstance(segment.view, CodeView))
        return all(view.work(deadline) for view in code)

    def apply(self, change: Change) -> None:
        """Make the blocks from `change.first` on those of the change, leaving alone those that are the same."""
        old = self.blocks[change.first :]
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, change.blocks, strict=False)))
        first, blocks = change.first + same, change.blocks[same:]
        if not blocks and first == len(self.blocks):
            return
        self.blocks_written += len(blocks)
        if not self._update_in_place(first, blocks):
            self._cut(first)
            self._append(first, blocks)
        self.blocks[first:] = blocks

    def arrange(self, width: int) -> int:
        """Place the views for `width`; the height they take. Only what changed is measured again."""
        y = 0
        for segment in self._segments:
            if segment.stale or width != self._width:
                segment.height = segment.view.arrange(width - segment.indent)
                segment.stale = False
            y += SPACE if y else 0
            segment.view.setGeometry(segment.indent, y, width - segment.indent, segment.height)
            y += segment.height
        self._width = width
        return y

    def _read_step(self) -> None:
        """Parse a piece. What is shown already stays; from the first difference on everything is written again."""
        assert self._reader is not None
        step = next(self._reader, None)
        if step is None:
            self._reader = None
            self._drop_from(self._read)
            return
        for block in step:
            if not self._queue and self._read < len(self.blocks) and self.blocks[self._read] == block:
                self._read += 1
                continue
            if not self._queue:
                self._drop_from(self._read)
            self._queue.append(block)
            self._read += 1

    def _write_next(self) -> None:
        """Write one block; paragraphs that follow one another go together, a few at a time."""
        blocks = [self._queue.popleft()]
        while self._queue and len(blocks) < _PARAGRAPHS_A_STEP and isinstance(self._queue[0], Paragraph):
            blocks.append(self._queue.popleft())
        self.apply(Change(len(self.blocks), tuple(blocks)))

    def _drop_from(self, first: int) -> None:
        if first < len(self.blocks):
            self._cut(first)
            del self.blocks[first:]

    def _update_in_place(self, first: int, blocks: Sequence[Block]) -> bool:
        """Only the last block is another: keep the view that shows it."""
        last = self._segments[-1] if self._segments else None
        if last is None or not blocks or first != len(self.blocks) - 1:
            return False
        if isinstance(last.view, ProseView):
            return self._update_prose(last, first, blocks)
        block = blocks[0]
        old = self.blocks[first]
        if isinstance(last.view, CodeView) and isinstance(block, Code) and isinstance(old, Code):
            if block.indent != old.indent:
                return False
            last.view.set_code(block)
        elif isinstance(last.view, TableView) and isinstance(block, Table):
            last.view.set_table(block)
        else:
            return False
        last.stale = True
        self._append(first + 1, blocks[1:])
        return True

    def _update_prose(self, last: _Segment, first: int, blocks: Sequence[Block]) -> bool:
        run = tuple(takewhile(lambda b: not isinstance(b, (Code, Table)), blocks[: PROSE_BLOCKS + last.first - first]))
        if not run:
            return False
        assert isinstance(last.view, ProseView)
        last.view.replace_from(first - last.first, run)  # type: ignore[arg-type]
        last.count = first - last.first + len(run)
        last.stale = True
        self._append(first + len(run), blocks[len(run) :])
        return True

    def _cut(self, first: int) -> None:
        """Remove what shows the blocks from `first` on."""
        while self._segments and self._segments[-1].first >= first:
            view = self._segments.pop().view
            view.hide()
            view.deleteLater()
        if self._segments and self._segments[-1].first + self._segments[-1].count > first:
            last = self._segments[-1]
            assert isinstance(last.view, ProseView)
            last.view.replace_from(first - last.first, ())
            last.count = first - last.first
            last.stale = True

    def _append(self, first: int, blocks: Sequence[Block]) -> None:
        index = 0
        while index < len(blocks):
            block = blocks[index]
            if isinstance(block, (Code, Table)):
                self._append_view(block, first + index)
                index += 1
                continue
            segment = self._prose_segment(first + index)
            room = PROSE_BLOCKS - segment.count
            run = tuple(takewhile(lambda b: not isinstance(b, (Code, Table)), blocks[index : index + room]))
            assert isinstance(segment.view, ProseView)
            segment.view.replace_from(segment.count, run)  # type: ignore[arg-type]
            segment.count += len(run)
            segment.stale = True
            index += len(run)

    def _append_view(self, block: Code | Table, first: int) -> None:
        if isinstance(block, Code):
            view = CodeView(self._request_lexer, self)
            view.set_code(block)
            self._add(_Segment(view, first, 1, indent=block.indent * INDENT))
        else:
            table = TableView(self)
            table.set_table(block)
            table.anchorClicked.connect(lambda url: self.address_clicked.emit(url.toString()))
            self._add(_Segment(table, first, 1))

    def _prose_segment(self, first: int) -> _Segment:
        """The last view where it is prose with room, else a new one."""
        last = self._segments[-1] if self._segments else None
        if last is not None and isinstance(last.view, ProseView) and last.count < PROSE_BLOCKS:
            return last
        view = ProseView(self)
        view.anchorClicked.connect(lambda url: self.address_clicked.emit(url.toString()))
        return self._add(_Segment(view, first, 0))

    def _add(self, segment: _Segment) -> _Segment:
        self._segments.append(segment)
        segment.view.show()
        return segment


# An answer as plain text in which the words that the draft guessed are tinted and underlined.


_SIZE = (640, 420)

Piece = tuple[str, bool]
"""Text, and whether the draft guessed it."""


class GuessedView(QFrame):
    """A window over the transcript; Esc or a click beside it closes it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("model_popup")
        self.count = QLabel()
        self.count.setProperty("role", "strong")
        self.legend = QLabel("Underlined and tinted: guessed by the draft, and confirmed by the model.")
        self.legend.setProperty("role", "secondary")
        self.text = QTextEdit(readOnly=True)
        self.text.setAccessibleName("The answer, with what the draft guessed")
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        for widget in (self.count, self.legend, self.text):
            column.addWidget(widget)

    def show_pieces(self, pieces: Sequence[Piece], tokens: int, guessed: int) -> None:
        """Fill it: `guessed` of the `tokens` came from the draft."""
        share = f" ({100 * guessed / tokens:.0f} %)" if tokens else ""
        self.count.setText(f"{grouped(guessed)} of {grouped(tokens)} tokens came from the draft{share}")
        plain, drafted = QTextCharFormat(), QTextCharFormat()
        drafted.setBackground(color("guessed_surface"))
        drafted.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SingleUnderline)
        self.text.clear()
        cursor = QTextCursor(self.text.document())
        for text, is_guessed in merged(pieces):
            cursor.insertText(text, drafted if is_guessed else plain)
        self.text.moveCursor(QTextCursor.MoveOperation.Start)

    def open_over(self, anchor: QWidget) -> None:
        """Open it in the middle of `anchor`."""
        width, height = min(_SIZE[0], anchor.width() - 32), min(_SIZE[1], anchor.height() - 32)
        self.resize(max(width, 320), max(height, 200))
        self.move(anchor.mapToGlobal(anchor.rect().center()) - self.rect().center())
        self.show()
        self.text.setFocus()


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of the same kind as one piece."""
    runs: list[Piece] = []
    for text, is_guessed in pieces:
        if runs and runs[-1][1] == is_guessed:
            runs[-1] = (runs[-1][0] + text, is_guessed)
        elif text:
            runs.append((text, is_guessed))
    return runs
