"""How drafting goes, in the performance panel: seen while a model is loaded that has something to draft with."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget

from app.engine.draft_messages import DraftFigures
from app.engine.messages import ModelLoaded
from ui.look.theme import text_font
from ui.widgets.elided_label import ElidedLabel

_NONE = "–"
_OFF = "off: it would be slower"
_FEWEST = 8
"""Drafted tokens; before so many a share says nothing."""


class DraftingRows(QWidget):
    """Source, share of right guesses, tokens for each run of the model, and the speed-up against plain decoding."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(8)
        form.setVerticalSpacing(4)
        self.state = ElidedLabel("", mode=Qt.TextElideMode.ElideMiddle)
        _row(form, "Draft", "What guesses the next tokens", self.state)
        self.acceptance = _row(form, "Right guesses", "Of the drafted tokens, those that the model agreed with")
        self.per_step = _row(form, "Tokens a step", "New tokens for each run of the model; 1 is plain decoding")
        self.speed_up = _row(form, "Against plain", "How many times as fast as without drafts, measured meanwhile")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(form)
        self._source = ""
        self.show_sources(None)

    def show_sources(self, model: ModelLoaded | None) -> None:
        """What the loaded model drafts with; without anything the rows are hidden."""
        draft = model.draft.name if model is not None and model.draft is not None else ""
        lookup = model is not None and model.prompt_lookup
        self._source = draft or ("repeating text" if lookup else "")
        self.setVisible(bool(self._source))
        self._say(self._source)
        for value in (self.acceptance, self.per_step, self.speed_up):
            value.setText(_NONE)

    def show_figures(self, figures: DraftFigures) -> None:
        """How it goes in the answer that is written."""
        self._say(self._source if figures.is_on else _OFF)
        known = figures.drafted_tokens >= _FEWEST
        self.acceptance.setText(f"{100 * figures.acceptance:.0f} %" if known else _NONE)
        self.per_step.setText(f"{figures.tokens_per_step:.1f}" if figures.steps else _NONE)
        # Where hardly anything was guessed, the ratio is that of two moments of this computer.
        self.speed_up.setText(f"{figures.speed_up:.2f} ×" if figures.speed_up and known else _NONE)

    def _say(self, text: str) -> None:
        self.state.say(text)


def _row(form: QFormLayout, word: str, help: str, value: QLabel | None = None) -> QLabel:
    name, value = QLabel(word), value or QLabel(_NONE)
    name.setProperty("role", "secondary")
    value.setFont(text_font(tabular=True))
    value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    value.setAccessibleName(word)
    for label in (name, value):
        label.setToolTip(help)
    form.addRow(name, value)
    return value
