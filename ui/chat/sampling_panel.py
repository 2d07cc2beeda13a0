"""The sheet beside the transcript: system prompt and sampling of this conversation. Plain words, the term beside."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QRegularExpression, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeySequence, QRegularExpressionValidator, QShortcut
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.chat.conversation import Conversation
from app.chat.presets import BALANCED, BUILT_IN_PRESETS, SamplingPreset, preset_named, suggested_preset
from app.engine.messages import Sampling
from ui.look.icons import set_icon

if TYPE_CHECKING:
    from app.chat.store import ChatStore
    from workers.chat_storage import ChatStorage


WIDTH = 304
SAVE_DELAY_MS = 400
_PROMPT_HEIGHT = 120
_STOP_HEIGHT = 56
_OWN_PRESET = "A preset of your own."


@dataclass(frozen=True, slots=True)
class _Number:
    """One field: `decimals` 0 is a whole number."""

    name: str
    label: str
    help: str
    minimum: float
    maximum: float
    step: float
    decimals: int
    special: str = ""
    """What the smallest value means."""


_NUMBERS = (
    _Number("temperature", "Temperature", "0 always takes the likeliest word; higher surprises more.", 0, 5, 0.1, 2),
    _Number("top_k", "Top-k", "Choose among this many of the likeliest tokens.", 0, 1000, 5, 0, "off"),
    _Number("top_p", "Top-p", "Choose among the likeliest that make up this share. 1 is off.", 0.01, 1, 0.05, 2),
    _Number("min_p", "Min-p", "Leave out what is less likely than this share of the likeliest.", 0, 1, 0.01, 2, "off"),
    _Number("repeat_penalty", "Repeat penalty", "Above 1 makes repeating less likely. 1 is off.", 0.5, 2, 0.05, 2),
    _Number("max_tokens", "Maximum tokens", "The answer ends here at the latest.", 0, 100_000, 64, 0, "no limit"),
)


class SamplingPanel(QWidget):
    """Shows what it is given; says what the user changed, after a pause in typing."""

    system_prompt_changed = Signal(str)
    sampling_changed = Signal(object, str)
    """Sampling and the preset's name, "" for own values."""
    preset_saved = Signal(str, object)
    """Name, Sampling: the values are to be kept under this name."""
    preset_deleted = Signal(str)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "side")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(WIDTH)
        self._filling = False
        self._own: tuple[SamplingPreset, ...] = ()
        self.prompt = QPlainTextEdit()
        self._presets = PresetField()
        self.preset = self._presets.combo
        self.description = QLabel()
        self.numbers = {number.name: _spin_box(number) for number in _NUMBERS}
        self.seed = QLineEdit()
        self.stop = QPlainTextEdit()
        self._prompt_pause = self._pause(lambda: self.system_prompt_changed.emit(self.prompt.toPlainText()))
        self._value_pause = self._pause(self._emit_sampling)
        self._lay_out()
        self._connect()
        self.show_values("", Sampling(), "Balanced")

    def show_values(self, system_prompt: str, sampling: Sampling, preset: str) -> None:
        """Another conversation's values. Nothing is emitted."""
        self.flush()
        self._filling = True
        if self.prompt.toPlainText() != system_prompt:
            self.prompt.setPlainText(system_prompt)
        self._fill(sampling)
        self._show_preset(sampling, preset)
        self._filling = False

    def set_own_presets(self, presets: tuple[SamplingPreset, ...]) -> None:
        """The user's presets, after those that come with the program."""
        self._own = presets
        self._filling = True
        current = self.preset.currentText()
        self._presets.set_names(tuple(p.name for p in BUILT_IN_PRESETS), tuple(p.name for p in presets))
        self._show_preset(self.sampling(), current)
        self._filling = False

    def sampling(self) -> Sampling:
        """The values as they stand."""
        values = {n.name: self._value(n) for n in _NUMBERS}
        seed = self.seed.text().strip()
        stop = tuple(_unescape(line) for line in self.stop.toPlainText().split("\n") if line)
        return Sampling(**values, seed=int(seed) if seed.isdigit() else None, stop=stop)  # type: ignore[arg-type]

    def choose_preset(self, name: str) -> None:
        """Show and store that the values are those of this preset now."""
        self._filling = True
        self._show_preset(self.sampling(), name)
        self._filling = False
        self._emit_sampling()

    def flush(self) -> None:
        """Emit now what waits for a pause in typing."""
        for pause in (self._prompt_pause, self._value_pause):
            if pause.isActive():
                pause.stop()
                pause.timeout.emit()

    def hideEvent(self, event: QHideEvent) -> None:
        """Closed, or the window with it: nothing typed is lost."""
        self.flush()
        super().hideEvent(event)

    def _value(self, number: _Number) -> float | int:
        value = self.numbers[number.name].value()
        return round(value, number.decimals) if number.decimals else int(value)

    def _fill(self, sampling: Sampling) -> None:
        for name, box in self.numbers.items():
            box.setValue(getattr(sampling, name))
        self.seed.setText("" if sampling.seed is None else str(sampling.seed))
        self.stop.setPlainText("\n".join(_escape(part) for part in sampling.stop))

    def _show_preset(self, sampling: Sampling, name: str) -> None:
        named = preset_named(name, self._own)
        if named is None or not _same_choice(named.sampling, sampling):
            named = next((p for p in (*BUILT_IN_PRESETS, *self._own) if _same_choice(p.sampling, sampling)), None)
        self.preset.setCurrentText(named.name if named else CUSTOM)
        about = named.description or _OWN_PRESET if named else "Values of your own, for this chat."
        self.description.setText(about)

    def _on_preset_chosen(self, name: str) -> None:
        preset = preset_named(name, self._own)
        if self._filling or preset is None:
            return
        now = self.sampling()
        # Seed, stop strings and the limit belong to the chat, not to the taste a preset names.
        chosen = dataclasses.replace(preset.sampling, seed=now.seed, stop=now.stop, max_tokens=now.max_tokens)
        self._filling = True
        self._fill(chosen)
        self._filling = False
        self.description.setText(preset.description or _OWN_PRESET)
        self._value_pause.start()

    def _choice(self) -> Sampling:
        """What a preset keeps of the values."""
        rest = Sampling()
        return dataclasses.replace(self.sampling(), seed=rest.seed, stop=rest.stop, max_tokens=rest.max_tokens)

    def _on_value_changed(self) -> None:
        if self._filling:
            return
        self._filling = True
        self._show_preset(self.sampling(), "")
        self._filling = False
        self._value_pause.start()

    def _on_prompt_changed(self) -> None:
        if not self._filling:
            self._prompt_pause.start()

    def _emit_sampling(self) -> None:
        name = self.preset.currentText()
        self.sampling_changed.emit(self.sampling(), "" if name == CUSTOM else name)

    def _pause(self, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self, singleShot=True, interval=SAVE_DELAY_MS)
        timer.timeout.connect(slot)
        return timer

    def _connect(self) -> None:
        self.prompt.textChanged.connect(self._on_prompt_changed)
        self.preset.currentTextChanged.connect(self._on_preset_chosen)
        self._presets.save_wanted.connect(lambda name: self.preset_saved.emit(name, self._choice()))
        self._presets.delete_wanted.connect(self.preset_deleted)
        for box in self.numbers.values():
            box.valueChanged.connect(self._on_value_changed)
        for field in (self.seed, self.stop):
            field.textChanged.connect(self._on_value_changed)

    def _lay_out(self) -> None:
        self.set_own_presets(())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._head())
        inside = QWidget()
        inside.setProperty("role", "side")
        body = QVBoxLayout(inside)
        body.setContentsMargins(16, 4, 16, 16)
        body.setSpacing(8)
        self._add_prompt(body)
        self._add_sampling(body)
        body.addStretch()
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        column.addWidget(area, 1)

    def _head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setContentsMargins(16, 10, 8, 6)
        head.addWidget(_label("This chat", "strong"), 1)
        close = QToolButton()
        set_icon(close, "x", size=16)
        close.setToolTip("Close")
        close.setAccessibleName("Close the chat's settings")
        close.clicked.connect(self.closed)
        head.addWidget(close)
        return head

    def _add_prompt(self, body: QVBoxLayout) -> None:
        title = _label("How it should answer (system prompt)")
        self.prompt.setFixedHeight(_PROMPT_HEIGHT)
        self.prompt.setTabChangesFocus(True)
        self.prompt.setPlaceholderText("For example: Answer in one paragraph, with an example.")
        self.prompt.setAccessibleName("System prompt")
        title.setBuddy(self.prompt)
        body.addWidget(title)
        body.addWidget(self.prompt)
        body.addSpacing(8)

    def _add_sampling(self, body: QVBoxLayout) -> None:
        title = _label("How words are chosen (sampling)")
        title.setBuddy(self.preset)
        self.description.setProperty("role", "caption")
        self.description.setWordWrap(True)
        self.description.setMinimumHeight(30)
        self.description.setAlignment(Qt.AlignmentFlag.AlignTop)
        for widget in (title, self._presets, self.description):
            body.addWidget(widget)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(8)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for number in _NUMBERS:
            form.addRow(number.label, self.numbers[number.name])
        self.seed.setPlaceholderText("new each time")
        self.seed.setValidator(QRegularExpressionValidator(QRegularExpression("[0-9]{0,10}"), self.seed))
        self._name(self.seed, "Seed", "The same number gives the same text again.")
        self.stop.setPlaceholderText("none; one a line")
        self.stop.setFixedHeight(_STOP_HEIGHT)
        self.stop.setTabChangesFocus(True)
        self._name(self.stop, "Stop strings", "The answer ends before one of these. One a line; \\n is a new line.")
        form.addRow("Seed", self.seed)
        form.addRow("Stop strings", self.stop)
        body.addLayout(form)

    def _name(self, widget: QWidget, name: str, help: str) -> None:
        widget.setAccessibleName(name)
        widget.setToolTip(help)
        widget.setAccessibleDescription(help)


def _same_choice(one: Sampling, other: Sampling) -> bool:
    keys = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty")
    return all(abs(getattr(one, key) - getattr(other, key)) < 1e-6 for key in keys)


def _spin_box(number: _Number) -> QSpinBox | QDoubleSpinBox:
    box: QSpinBox | QDoubleSpinBox
    if number.decimals:
        box = QDoubleSpinBox()
        box.setDecimals(number.decimals)
        box.setRange(number.minimum, number.maximum)
        box.setSingleStep(number.step)
    else:
        box = QSpinBox()
        box.setRange(int(number.minimum), int(number.maximum))
        box.setSingleStep(int(number.step))
        box.setGroupSeparatorShown(True)
    box.setSpecialValueText(number.special)
    box.lineEdit().setTextMargins(6, 0, 0, 0)  # the style sheet's padding does not reach it
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the wheel scrolls the sheet
    box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.UpDownArrows)
    box.setAccessibleName(number.label)
    box.setAccessibleDescription(number.help)
    box.setToolTip(number.help)
    return box


def _label(text: str, role: str = "") -> QLabel:
    label = QLabel(text)
    if role:
        label.setProperty("role", role)
    return label


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def _unescape(text: str) -> str:
    return text.replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t").replace("\0", "\\")


# The choice of a sampling preset, and what keeps the user's own: save the values under a name, delete one again.


CUSTOM = "Own values"
_LONGEST_NAME = 60


class PresetField(QWidget):
    """A combo box, which a field for a name takes the place of while one is wanted."""

    save_wanted = Signal(str)
    """Name for the values as they are."""
    delete_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._own: frozenset[str] = frozenset()
        self.combo = QComboBox()
        self.combo.setAccessibleName("Sampling preset")
        self.combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.name = QLineEdit(maxLength=_LONGEST_NAME)
        self.name.setPlaceholderText("Name, then Enter")
        self.name.setAccessibleName("Name of the new preset")
        self.name.hide()
        self.button = QPushButton()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.combo, 1)
        row.addWidget(self.name, 1)
        row.addWidget(self.button)
        self.setFocusProxy(self.combo)
        self.combo.currentTextChanged.connect(self._end_naming)
        self.button.clicked.connect(self._on_button)
        self.name.returnPressed.connect(self._on_button)
        escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), self.name, context=Qt.ShortcutContext.WidgetShortcut)
        escape.activated.connect(self._leave_name)
        self._refresh()

    def set_names(self, built_in: tuple[str, ...], own: tuple[str, ...]) -> None:
        """Fill the box, "own values" last. What is chosen then is the first; the caller says what it should be."""
        self._own = frozenset(own)
        self.combo.clear()
        self.combo.addItems([*built_in, *own, CUSTOM])
        self._refresh()

    def _on_button(self) -> None:
        chosen = self.combo.currentText()
        if not self.name.isHidden():
            if name := self.name.text().strip():
                self._leave_name()
                self.save_wanted.emit(name)
        elif chosen in self._own:
            self.delete_wanted.emit(chosen)
        else:
            self._begin_naming()

    def _leave_name(self) -> None:
        self._end_naming()
        self.combo.setFocus()

    def _begin_naming(self) -> None:
        self.combo.hide()
        self.name.clear()
        self.name.show()
        self.name.setFocus()
        self._refresh()

    def _end_naming(self) -> None:
        self.name.hide()
        self.combo.show()
        self._refresh()

    def _refresh(self) -> None:
        chosen = self.combo.currentText()
        own = chosen in self._own and self.name.isHidden()
        self.button.setText("Delete" if own else "Save" if self.combo.isHidden() else "Save…")
        self.button.setAccessibleName(f"Delete the preset {chosen}" if own else "Save the values as a preset")
        self.button.setVisible(own or chosen == CUSTOM)


# The sheet of a chat's settings with the storage behind it.


class ChatSettingsPane(SamplingPanel):
    """Stores what changed; a new chat keeps it until its first message stores the chat."""

    changed = Signal(Conversation)
    """Conversation with the new values."""
    failed = Signal(str, str)

    def __init__(self, storage: ChatStorage, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._storage = storage
        self._conversation = Conversation("", "")
        self._suggested = BALANCED
        self.system_prompt_changed.connect(self._on_system_prompt)
        self.sampling_changed.connect(self._on_sampling)
        self.preset_saved.connect(self._on_preset_saved)
        self.preset_deleted.connect(self._on_preset_deleted)

    def show_conversation(self, conversation: Conversation) -> None:
        """The values of this one."""
        self.show_values(conversation.system_prompt, conversation.sampling, conversation.preset)
        self._conversation = conversation
        self._suggest()

    def suggest_for(self, parameters: int) -> None:
        """A model of this many parameters was loaded: new chats begin with what suits it."""
        self.flush()
        left, self._suggested = self._suggested, suggested_preset(parameters)
        self._suggest(left)

    def load_presets(self) -> None:
        """The user's own."""
        self._storage.run(lambda store: store.presets(), self.set_own_presets, self.failed.emit)

    def _on_preset_saved(self, name: str, sampling: Sampling) -> None:
        def save(store: ChatStore) -> tuple[str, tuple[SamplingPreset, ...]]:
            return store.save_preset(name, sampling).name, store.presets()

        self._storage.run(save, self._on_preset_stored, self.failed.emit)

    def _on_preset_stored(self, stored: tuple[str, tuple[SamplingPreset, ...]]) -> None:
        name, presets = stored
        self.set_own_presets(presets)
        self.choose_preset(name)

    def _on_preset_deleted(self, name: str) -> None:
        """The values stay: they are the chat's own now, and can be saved again."""
        self._storage.run(lambda store: store.delete_preset(name), lambda _: self.load_presets(), self.failed.emit)

    def _suggest(self, instead_of: SamplingPreset = BALANCED) -> None:
        """Only in a chat that is not stored yet, and whose values nobody has chosen."""
        chat = self._conversation
        if chat.id or (chat.sampling, chat.preset) != (instead_of.sampling, instead_of.name):
            return
        chat = dataclasses.replace(chat, sampling=self._suggested.sampling, preset=self._suggested.name)
        if chat != self._conversation:
            self.show_values(chat.system_prompt, chat.sampling, chat.preset)
            self._conversation = chat
            self.changed.emit(chat)

    def _on_system_prompt(self, text: str) -> None:
        self._conversation = dataclasses.replace(self._conversation, system_prompt=text)
        id_ = self._conversation.id
        if id_:
            self._storage.run(lambda store: store.set_system_prompt(id_, text), None, self.failed.emit)
        self.changed.emit(self._conversation)

    def _on_sampling(self, sampling: Sampling, preset: str) -> None:
        self._conversation = dataclasses.replace(self._conversation, sampling=sampling, preset=preset)
        id_ = self._conversation.id
        if id_:
            self._storage.run(lambda store: store.set_sampling(id_, sampling, preset), None, self.failed.emit)
        self.changed.emit(self._conversation)
