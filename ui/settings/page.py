"""The settings, generated from their declarations. A change is in force and saved at once; there is no OK button."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app import __version__
from app.engine.messages import ThreadCounts
from app.operation import Progress, Stage
from app.settings import Declaration, Settings, declarations
from app.system.paths import Paths
from ui.errors import MessageBar
from ui.widgets.fields import FIELD_HEIGHT, ignore_wheel_without_focus
from ui.widgets.scrolled import scrolled
from workers.current_model import CurrentModel
from workers.engine.client import EngineState

if TYPE_CHECKING:
    from app.engine.messages import MachineSpeed
    from workers.engine.client import ChatEngine
    from workers.hub_services import HubServices
    from workers.machine_speed import SpeedService
    from workers.settings_store import SettingsStore


# One editor for each type of setting, made from its declaration. Each announces the new value and can show another.


_FIELD_WIDTH = 200
_LIST_ROWS = 3
_STEPS = {"tokens": 256, "ms a token": 10}


def editor_for(name: str, default: Any, declaration: Declaration) -> QWidget:
    """The editor for a setting of this type. It has the signal `edited`, and `show_value`, which does not emit that."""
    if isinstance(default, StrEnum):
        editor: QWidget = EnumEditor(type(default))
    elif isinstance(default, bool):
        editor = BoolEditor(declaration.label)
    elif isinstance(default, str):
        editor = TextEditor()
    elif isinstance(default, tuple):
        editor = PathsEditor(folders=name.endswith("folders"))
    else:
        editor = NumberEditor(default, declaration, "as measured" if name.endswith("_threads") else "")
    editor.setAccessibleName(declaration.label)
    editor.setAccessibleDescription(declaration.help)
    return editor


class EnumEditor(QComboBox):
    """One of a few words."""

    edited = Signal(object)  # a value of the setting's type

    def __init__(self, kind: type[StrEnum], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        for choice in kind:
            self.addItem(_choice_words(choice), choice)
        self.setFixedWidth(_FIELD_WIDTH)
        self.activated.connect(lambda _index: self.edited.emit(kind(self.currentData())))
        ignore_wheel_without_focus(self)

    def show_value(self, value: StrEnum) -> None:
        self.setCurrentIndex(self.findData(value))


class TextEditor(QLineEdit):
    """One line, announced when it is left or confirmed."""

    edited = Signal(object)  # a value of the setting's type

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(FIELD_HEIGHT)
        self.editingFinished.connect(lambda: self.edited.emit(self.text().strip()))

    def show_value(self, value: str) -> None:
        if value != self.text().strip():
            self.setText(value)


class BoolEditor(QCheckBox):
    """Yes or no; the label is its own text."""

    edited = Signal(object)  # a value of the setting's type

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.clicked.connect(lambda checked: self.edited.emit(bool(checked)))

    def show_value(self, value: bool) -> None:
        self.setChecked(value)


class NumberEditor(QWidget):
    """A spin box with its unit, for whole numbers and for tenths."""

    edited = Signal(object)  # a value of the setting's type

    def __init__(
        self, default: float, declaration: Declaration, word_for_least: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.box: QSpinBox | QDoubleSpinBox = QSpinBox() if isinstance(default, int) else QDoubleSpinBox(decimals=1)
        # A QSpinBox takes whole numbers alone, and does not convert.
        kind: Any = type(default)
        self.box.setRange(kind(declaration.minimum or 0), kind(declaration.maximum or 1_000_000))
        self.box.setSuffix(f" {declaration.unit}" if declaration.unit else "")
        self.box.setSingleStep(kind(_STEPS.get(declaration.unit, 1)))
        self.box.setSpecialValueText(word_for_least)
        self.box.setKeyboardTracking(False)  # a half-typed number is no value yet
        self.box.setGroupSeparatorShown(True)
        self.box.setFixedSize(_FIELD_WIDTH, FIELD_HEIGHT)
        # the style sheet's padding does not reach the field inside a spin box
        self.box.lineEdit().setTextMargins(6, 0, 0, 0)
        self.box.valueChanged.connect(lambda value: self.edited.emit(value))
        ignore_wheel_without_focus(self.box)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box, 0, Qt.AlignmentFlag.AlignLeft)
        self.setFocusProxy(self.box)

    def setAccessibleName(self, name: str) -> None:
        super().setAccessibleName(name)
        self.box.setAccessibleName(name)

    def show_value(self, value: float) -> None:
        self.box.blockSignals(True)
        self.box.setValue(value)  # type: ignore[arg-type]
        self.box.blockSignals(False)


class PathsEditor(QWidget):
    """A short list of folders or files with Add and Remove."""

    edited = Signal(object)  # a value of the setting's type

    def __init__(self, *, folders: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folders = folders
        self.list = QListWidget()
        self.list.setProperty("role", "field")
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setFixedHeight(_LIST_ROWS * 24 + 4)
        add, self.remove = QPushButton("Add…"), QPushButton("Remove")
        add.clicked.connect(self._on_add)
        self.remove.clicked.connect(self._on_remove)
        self.remove.setEnabled(False)
        self.list.currentRowChanged.connect(lambda row: self.remove.setEnabled(row >= 0))
        buttons = QVBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(add)
        buttons.addWidget(self.remove)
        buttons.addStretch()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.list, 1)
        row.addLayout(buttons)
        self.setFocusProxy(self.list)

    def setAccessibleName(self, name: str) -> None:
        super().setAccessibleName(name)
        self.list.setAccessibleName(name)

    def values(self) -> tuple[str, ...]:
        """The paths, in order."""
        return tuple(self.list.item(row).text() for row in range(self.list.count()))

    def show_value(self, value: tuple[str, ...]) -> None:
        if value != self.values():
            self.list.clear()
            self.list.addItems(list(value))

    def _on_add(self) -> None:
        if self._folders:
            new = [QFileDialog.getExistingDirectory(self, "Add a folder of models")]
        else:
            new, _ = QFileDialog.getOpenFileNames(self, "Add model files", "", "Models (*.gguf)")
        self._announce((*self.values(), *(name for name in new if name)))

    def _on_remove(self) -> None:
        row = self.list.currentRow()
        self._announce(tuple(name for index, name in enumerate(self.values()) if index != row))

    def _announce(self, value: tuple[str, ...]) -> None:
        unique = tuple(dict.fromkeys(value))
        if unique != self.values():
            self.show_value(unique)
            self.edited.emit(unique)


def _choice_words(choice: StrEnum) -> str:
    # ggml's names stay as they are; words begin with a capital
    return choice.value if any(character.isdigit() for character in choice.value) else choice.value.capitalize()


_LABEL_WIDTH = 208
_FORM_WIDTH = 720
_THREADS_GROUP = "Speed"
_STORAGE_GROUP = "Storage"
_HUB_GROUP = "Hub"


class SettingsPage(QWidget):
    """A form by groups; at the top a bar while the loaded model still has older settings."""

    def __init__(
        self,
        settings: SettingsStore,
        engine: ChatEngine,
        current: CurrentModel,
        paths: Paths,
        hub: HubServices | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """Make the page. Without `hub` there are no rows for the access token and the computer's speed."""
        super().__init__(parent)
        self._hub = hub
        self._settings, self._engine, self._current, self._paths = settings, engine, current, paths
        self.editors: dict[str, QWidget] = {}
        self._build()
        self._show(settings.current)
        settings.changed.connect(lambda _fields: self._show(settings.current))
        engine.state_changed.connect(lambda _state: self._on_engine_changed())
        engine.progress.connect(self._on_progress)
        engine.threads_measured.connect(self._on_threads_measured)
        self._on_engine_changed()

    def _show(self, settings: Settings) -> None:
        for name, editor in self.editors.items():
            editor.show_value(getattr(settings, name))  # type: ignore[attr-defined]
        self._show_reload()

    def _on_edited(self, name: str, value: object) -> None:
        self._settings.update(**{name: value})

    # the model in memory

    def _on_engine_changed(self) -> None:
        ready = self._engine.state is EngineState.READY
        self.measure.setEnabled(ready)
        if self._engine.model is None:
            self.threads.setText("Load a model to measure.")
        elif ready:
            self._on_threads_measured(self._engine.model.threads)
        self._show_reload()

    def _on_threads_measured(self, threads: ThreadCounts) -> None:
        self.threads.setText(f"In use: {threads.decode} answering, {threads.prefill} reading.")

    def _on_progress(self, progress: Progress) -> None:
        if progress.stage is Stage.MEASURE_THREADS and progress.total:
            self.threads.setText(f"Measuring, {progress.done} of {progress.total}…")

    def _show_reload(self) -> None:
        if not self._current.needs_reload or self._engine.state is EngineState.LOADING:
            self.reload.hide()
        elif self.reload.isHidden():
            self.reload.say("The model in memory was loaded with other settings.")
            self.reload.add_button("Reload now", self._current.reload, role="primary")

    # how it is laid out

    def _build(self) -> None:
        self.setProperty("role", "page")
        self.reload = MessageBar("notice", "refresh-cw", self, inline=True)
        form = QWidget()
        form.setMaximumWidth(_FORM_WIDTH)
        self._form = QVBoxLayout(form)
        self._form.setContentsMargins(24, 0, 24, 24)
        self._form.setSpacing(0)
        for group, members in groupby(_by_group(), key=lambda item: item[1].group):
            self._add_group(group, [(name, declaration) for name, declaration in members])
        self._form.addSpacing(24)
        self._form.addWidget(_label(f"Bantam {__version__}", "caption"))
        self._form.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._head())
        self.area = scrolled(form)
        column.addWidget(self.area, 1)

    def _head(self) -> QVBoxLayout:
        head = QVBoxLayout()
        head.setContentsMargins(24, 16, 24, 8)
        head.setSpacing(8)
        head.addWidget(_label("Settings", "title"))
        head.addWidget(self.reload)
        return head

    def _add_group(self, group: str, members: list[tuple[str, Declaration]]) -> None:
        if self._form.count():
            self._form.addSpacing(16)
            line = QFrame()
            line.setProperty("role", "hairline")
            line.setFixedHeight(1)
            self._form.addWidget(line)
        self._form.addSpacing(16)
        self._form.addWidget(_label(group, "strong"))
        self._form.addSpacing(8)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        grid.setColumnMinimumWidth(0, _LABEL_WIDTH)
        grid.setColumnStretch(1, 1)
        for name, declaration in members:
            self._add_setting(grid, name, declaration)
        if group == _THREADS_GROUP:
            self._add_measure(grid)
        if group == _THREADS_GROUP and self._hub is not None:
            help_text = "What predictions are made from. Measured once, 5 s; best while nothing else is busy."
            self._add_row(grid, "This computer’s speed", SpeedRow(self._hub.speed), help_text)
        if group == _STORAGE_GROUP:
            self._add_data_folder(grid)
        if group == _HUB_GROUP and self._hub is not None:
            help_text = (
                "For models whose authors ask for permission. Sent to the hub alone, never written in plain text."
            )
            self._add_row(grid, "Access token", TokenRow(self._hub), help_text)
        self._form.addLayout(grid)

    def _add_setting(self, grid: QGridLayout, name: str, declaration: Declaration) -> None:
        editor = editor_for(name, getattr(Settings(), name), declaration)
        editor.edited.connect(lambda value: self._on_edited(name, value))  # type: ignore[attr-defined]
        self.editors[name] = editor
        text = declaration.help + (" Takes effect when the model is loaded again." if declaration.reload else "")
        self._add_row(grid, declaration.label, editor, text)

    def _add_row(self, grid: QGridLayout, word: str, editor: QWidget, text: str) -> None:
        row = grid.rowCount()
        label = _label(word, "")
        label.setBuddy(editor)
        label.setMinimumHeight(30)
        grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
        if isinstance(editor, EnumEditor):
            grid.addWidget(editor, row, 1, Qt.AlignmentFlag.AlignLeft)
        else:
            grid.addWidget(editor, row, 1)
        help_text = _label(text, "caption")
        help_text.setWordWrap(True)
        grid.addWidget(help_text, row + 1, 1)
        grid.setRowMinimumHeight(row + 2, 8)

    def _add_measure(self, grid: QGridLayout) -> None:
        self.threads = _label("", "secondary")
        self.threads.setWordWrap(True)
        self.measure = QPushButton("Measure again")
        self.measure.setToolTip("Try all thread counts on this machine; takes about 10 s")
        self.measure.clicked.connect(self._engine.measure_threads)
        self._add_row(
            grid,
            "Fastest thread counts",
            _side_by_side(self.measure, self.threads),
            "Tries them on this machine with the loaded model, about 10 s. Best while nothing else is busy.",
        )

    def _add_data_folder(self, grid: QGridLayout) -> None:
        path = _label(str(self._paths.home), "secondary")
        path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        path.setWordWrap(True)
        show = QPushButton("Open")
        show.setAccessibleName("Open the data folder")
        show.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._paths.home))))
        self._add_row(
            grid,
            "Data folder",
            _side_by_side(show, path),
            "Chats, models and settings. BANTAM_HOME, set before the start, moves it.",
        )


def _by_group() -> list[tuple[str, Declaration]]:
    """The declarations with the members of each group together, groups in the order of their first member."""
    declared = declarations()
    order = list(dict.fromkeys(declaration.group for declaration in declared.values()))
    names = [field.name for field in dataclasses.fields(Settings) if field.name in declared]
    return sorted(((name, declared[name]) for name in names), key=lambda item: order.index(item[1].group))


def _label(text: str, role: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        label.setProperty("role", role)
    return label


def _side_by_side(left: QWidget, right: QWidget) -> QWidget:
    pair = QWidget()
    row = QHBoxLayout(pair)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(12)
    row.addWidget(left)
    row.addWidget(right, 1)
    pair.setFocusProxy(left)
    return pair


# Two rows of the settings: the access token for the hub, and how fast this computer was measured to be.


_TYPES_SHOWN = ("Q4_0", "Q4_K", "Q8_0")


class TokenRow(QWidget):
    """A field, Save and Forget; below what became of it."""

    def __init__(self, hub: HubServices, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hub = hub
        self.field = QLineEdit(placeholderText="hf_…")
        self.field.setEchoMode(QLineEdit.EchoMode.Password)
        self.field.setAccessibleName("Access token for the hub")
        self.save, self.forget = QPushButton("Save"), QPushButton("Forget")
        self.save.setEnabled(False)
        self.state = _row_label("No token is kept.")
        self.field.textChanged.connect(lambda text: self.save.setEnabled(bool(text.strip())))
        self.field.returnPressed.connect(self._on_save)
        self.save.clicked.connect(self._on_save)
        self.forget.clicked.connect(hub.forget_token)
        hub.token_changed.connect(self._on_token_changed)
        hub.token_refused.connect(self.state.setText)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.field, 1)
        row.addWidget(self.save)
        row.addWidget(self.forget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.state)
        self.setFocusProxy(self.field)
        self._on_token_changed(hub.has_token, "")

    def _on_save(self) -> None:
        token = self.field.text().strip()
        if token:
            self.field.clear()
            self.state.setText("Asking the hub whose it is…")
            self._hub.give_token(token)

    def _on_token_changed(self, kept: bool, sentence: str) -> None:
        self.forget.setEnabled(kept)
        self.state.setText(sentence or ("A token is kept." if kept else self._none()))

    def _none(self) -> str:
        if self._hub.has_keyring:
            return "No token is kept."
        return "This system has no keyring service: a token given here is forgotten when Bantam ends."


class SpeedRow(QWidget):
    """Measure, and what was measured with the error of the predictions made from it."""

    def __init__(self, speed: SpeedService, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._speed = speed
        self.measure = QPushButton("Measure")
        self.measure.setAccessibleName("Measure this computer’s speed")
        self.measure.clicked.connect(speed.measure)
        self.state = _row_label("")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        row.addWidget(self.measure)
        row.addWidget(self.state, 1)
        self.setFocusProxy(self.measure)
        speed.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        self.measure.setEnabled(not self._speed.is_measuring)
        self.measure.setText("Measure again" if self._speed.speed else "Measure")
        if self._speed.is_measuring:
            self.state.setText("Measuring…")
        elif (speed := self._speed.speed) is None:
            self.state.setText("Not measured yet.")
        else:
            error = f" {self._speed.error.sentence}" if self._speed.error else ""
            self.state.setText(f"{_speed_words(speed)}{error}")


def _speed_words(speed: MachineSpeed) -> str:
    """ "It goes through this much of a model in a second: 38 GB in Q4_K, 36 GB in Q8_0 (measured on 2026-01-01)."."""
    known = {one.type: one.bytes_per_second / 1e9 for one in speed.types}
    figures = [f"{known[kind]:.0f} GB in {kind}" for kind in _TYPES_SHOWN if kind in known]
    return (
        f"It goes through this much of a model in a second: {', '.join(figures)} (measured on {speed.measured[:10]})."
    )


def _row_label(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setProperty("role", "secondary")
    return label
