"""The list of conversations: search, the rows under their days, rename in place, a menu, and the bar that undoes."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QPoint, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QFileDialog,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.chat.conversation import UNTITLED, ConversationSummary
from ui.chat.conversations import (
    BUSY_ROLE,
    SECTION_ROLE,
    SUMMARY_ROLE,
    WHEN_ROLE,
    ConversationShelf,
    ConversationsModel,
    file_name,
)
from ui.errors import NoticeBar
from ui.look.icons import set_icon
from ui.look.theme import color, text_font, tokens

WIDTH = 264
SEARCH_DELAY_MS = 150
UNDO_MS = 20_000
_ROW = 34
_SECTION = 30
_SNIPPET = 18
_INSET = 12
_Index = QModelIndex | QPersistentModelIndex


class ConversationDelegate(QStyledItemDelegate):
    """Draws title, time or "answering", and under it what a search found."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        """Taller with a heading or a snippet."""
        height = _ROW
        if index.data(SECTION_ROLE):
            height += _SECTION
        if index.data(SUMMARY_ROLE).snippet:
            height += _SNIPPET
        return QSize(100, height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """One row."""
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        row = QRect(option.rect)
        if section := index.data(SECTION_ROLE):
            heading = row.adjusted(_INSET + 4, 8, -_INSET, 0)
            heading.setHeight(_SECTION - 8)
            self._text(painter, heading, section, "text_secondary", tokens().size_caption)
            row.setTop(row.top() + _SECTION)
        self._draw_row(painter, row.adjusted(6, 1, -6, -1), option, index)
        painter.restore()

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: _Index) -> None:
        """Where the title is."""
        top = _SECTION if index.data(SECTION_ROLE) else 0
        editor.setGeometry(option.rect.adjusted(_INSET, top + 2, -_INSET, 0).intersected(option.rect))
        editor.setFixedHeight(_ROW - 4)

    def _draw_row(self, painter: QPainter, row: QRect, option: QStyleOptionViewItem, index: _Index) -> None:
        state = option.state
        if state & QStyle.StateFlag.State_Selected:
            self._surface(painter, row, color("selected"))
        elif state & QStyle.StateFlag.State_MouseOver:
            self._surface(painter, row, color("hover"))
        if state & QStyle.StateFlag.State_HasFocus and state & QStyle.StateFlag.State_Selected:
            painter.setPen(color("accent"))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(row, tokens().radius, tokens().radius)
        summary: ConversationSummary = index.data(SUMMARY_ROLE)
        line = row.adjusted(10, 0, -10, 0)
        line.setHeight(_ROW - 2)
        note = "answering…" if index.data(BUSY_ROLE) else index.data(WHEN_ROLE)
        tone = "accent" if index.data(BUSY_ROLE) else "text_secondary"
        width = QFontMetrics(text_font(tokens().size_caption)).horizontalAdvance(note) + 4
        self._text(painter, line.adjusted(line.width() - width, 0, 0, 0), note, tone, tokens().size_caption)
        self._text(painter, line.adjusted(0, 0, -width - 10, 0), summary.title, "text", tokens().size_text)
        if summary.snippet:
            under = QRect(line.left(), line.bottom() - 4, line.width(), _SNIPPET)
            self._text(painter, under, summary.snippet, "text_secondary", tokens().size_caption)

    def _surface(self, painter: QPainter, row: QRect, colour: QColor) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawRoundedRect(row, tokens().radius, tokens().radius)

    def _text(self, painter: QPainter, rect: QRect, text: str, tone: str, size: int) -> None:
        painter.setFont(text_font(size))
        painter.setPen(color(tone))
        elided = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
        painter.drawText(rect, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, elided)


class _View(QListView):
    """Keys of the list: Enter opens, F2 renames, Delete deletes."""

    delete_pressed = Signal()
    open_pressed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The rest is the list's own."""
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_pressed.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.open_pressed.emit()
        else:
            super().keyPressEvent(event)


class ConversationList(QWidget):
    """Search box, "New chat", rows, undo bar. Says what is wanted; the page does it."""

    new_wanted = Signal()
    opened = Signal(str)
    delete_wanted = Signal(str)
    export_wanted = Signal(str, str)
    """Conversation id, and "markdown" or "json"."""
    search_changed = Signal(str)
    """The words to search for, after a pause in typing."""

    def __init__(self, model: ConversationsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._current = ""
        self.setProperty("role", "side")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.search = QLineEdit()
        self.new_button = QPushButton(" New chat")
        self.view = _View()
        self.empty = QLabel()
        self.undo = NoticeBar()
        self._set_up_view()
        self._set_up_search()
        self._lay_out()
        model.modelReset.connect(self._on_rows_changed)
        model.dataChanged.connect(self._on_rows_changed)
        model.rowsInserted.connect(self._on_rows_changed)

    def set_current(self, conversation_id: str) -> None:
        """Mark the conversation that is open; "" marks none."""
        self._current = conversation_id
        self._on_rows_changed()

    def focus_search(self) -> None:
        """Focus the search, for Ctrl+F."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def menu_for(self, conversation_id: str) -> QMenu:
        """What can be done with a conversation."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Rename\tF2", lambda: self._rename(conversation_id))
        menu.addAction("Export to Markdown…", lambda: self.export_wanted.emit(conversation_id, "markdown"))
        menu.addAction("Export to JSON…", lambda: self.export_wanted.emit(conversation_id, "json"))
        menu.addSeparator()
        menu.addAction("Delete\tDel", lambda: self.delete_wanted.emit(conversation_id))
        return menu

    def _rename(self, conversation_id: str) -> None:
        row = self._model.row_of(conversation_id)
        if row >= 0:
            self.view.edit(self._model.index(row))

    def _set_up_view(self) -> None:
        view = self.view
        view.setModel(self._model)
        view.setItemDelegate(ConversationDelegate(view))
        view.setProperty("role", "side")
        view.setMouseTracking(True)
        view.setAccessibleName("Conversations")
        view.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setEditTriggers(QListView.EditTrigger.EditKeyPressed)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._on_menu)
        view.clicked.connect(self._open)
        view.open_pressed.connect(lambda: self._open(view.currentIndex()))
        view.delete_pressed.connect(self._on_delete)

    def _set_up_search(self) -> None:
        self.search.setProperty("role", "search")
        self.search.setPlaceholderText("Search chats")
        self.search.setAccessibleName("Search chats")
        self.search.setClearButtonEnabled(True)
        self.search.installEventFilter(self)
        self._pause = QTimer(self, singleShot=True, interval=SEARCH_DELAY_MS)
        self._pause.timeout.connect(lambda: self.search_changed.emit(self.search.text()))
        self.search.textChanged.connect(lambda: self._pause.start())

    def _lay_out(self) -> None:
        set_icon(self.new_button, "plus", size=16)
        self.new_button.setToolTip("New chat (Ctrl+N)")
        self.new_button.clicked.connect(self.new_wanted)
        self.empty.setProperty("role", "secondary")
        self.empty.setWordWrap(True)
        self.empty.hide()
        self.empty.setContentsMargins(_INSET, 8, _INSET, 0)
        head = QVBoxLayout()
        head.setContentsMargins(_INSET, 12, _INSET, 4)
        head.setSpacing(8)
        head.addWidget(self.new_button)
        head.addWidget(self.search)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.empty)
        column.addWidget(self.view, 1)
        foot = QVBoxLayout()
        foot.setContentsMargins(8, 0, 8, 8)
        foot.addWidget(self.undo)
        column.addLayout(foot)
        self.setMinimumWidth(200)

    def _on_rows_changed(self) -> None:
        row = self._model.row_of(self._current)
        if row >= 0:
            self.view.setCurrentIndex(self._model.index(row))
        else:
            self.view.clearSelection()
            self.view.setCurrentIndex(QModelIndex())
        searching = bool(self.search.text().strip())
        nothing = self._model.rowCount() == 0
        self.empty.setText("No chat has these words." if searching else "Your chats will stand here.")
        self.empty.setVisible(nothing)

    def _open(self, index: _Index) -> None:
        if index.isValid():
            self.opened.emit(index.data(SUMMARY_ROLE).id)

    def _on_delete(self) -> None:
        index = self.view.currentIndex()
        if index.isValid():
            self.delete_wanted.emit(index.data(SUMMARY_ROLE).id)

    def _on_menu(self, at: QPoint) -> None:
        index = self.view.indexAt(at)
        if index.isValid():
            self.menu_for(index.data(SUMMARY_ROLE).id).popup(self.view.viewport().mapToGlobal(at))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Down goes from the search box into the list, Esc empties it."""
        if watched is self.search and event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            if event.key() == Qt.Key.Key_Down and self._model.rowCount():
                self.view.setFocus(Qt.FocusReason.TabFocusReason)
                self.view.setCurrentIndex(self._model.index(max(0, self._model.row_of(self._current))))
                return True
            if event.key() == Qt.Key.Key_Escape and self.search.text():
                self.search.clear()
                return True
        return super().eventFilter(watched, event)


# The list of conversations with the services behind it: search, rename, delete and undo, export.


_KINDS = {"markdown": "Markdown (*.md)", "json": "JSON (*.json)"}
_TITLE_LENGTH = 28


class ChatListPane(ConversationList):
    """Does what its list is asked for; the page hears of what concerns the open conversation."""

    about_to_delete = Signal(str)
    """Conversation id, before anything happens."""
    restored = Signal(str)

    def __init__(self, shelf: ConversationShelf, parent: QWidget | None = None) -> None:
        super().__init__(shelf.model, parent)
        self._shelf = shelf
        self.search_changed.connect(shelf.search)
        self.delete_wanted.connect(self.delete)
        self.export_wanted.connect(self._on_export)
        shelf.deleted.connect(self._on_deleted)

    def delete(self, conversation_id: str) -> None:
        """Delete with a way back."""
        self.about_to_delete.emit(conversation_id)
        self._shelf.delete(conversation_id)

    def _on_deleted(self, conversation_id: str, title: str) -> None:
        short = title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1].rstrip() + "…"
        self.undo.show_notice(
            f"Deleted “{short}”.",
            "Undo",
            lambda: self._shelf.restore(conversation_id, self.restored.emit),
            stay_ms=UNDO_MS,
        )

    def _on_export(self, conversation_id: str, kind: str) -> None:
        row = self._shelf.model.summary(self._shelf.model.row_of(conversation_id))
        name = file_name(row.title if row is not None else UNTITLED, kind)
        path, _ = QFileDialog.getSaveFileName(self, "Export the chat", str(Path.home() / name), _KINDS[kind])
        if path:
            self._shelf.export(conversation_id, kind, Path(path))
