"""A chat without messages: what to do first, with questions to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.engine.messages import ModelLoaded
from app.system.paths import STARTER_MODEL
from ui.look.icons import set_icon

if TYPE_CHECKING:
    from app.fit.first_choice import FirstChoice


STARTER_QUESTIONS = (
    "What does os.path.join do?",
    "Show the signature of shutil.copy.",
    "What does random.shuffle do?",
)
QUESTIONS = (
    "Explain in three sentences how a refrigerator works.",
    "Write a short, friendly e-mail that moves a meeting to Friday.",
    "Show a Python function that counts the words in a text file.",
)
WELCOME = "Welcome to Bantam"
GREETING = (
    "Bantam finds language models that fit this computer, makes them smaller, and chats with them here;"
    " nothing you write leaves it. A very small one is here: it knows Python’s standard library, and little else."
)
_WIDTH = 480


class ChatEmpty(QWidget):
    """Renders whether a model is there; a question that is chosen goes into the composer."""

    question_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = QLabel()
        self._title = QLabel()
        self._text = QLabel()
        self.questions = [QPushButton() for _ in STARTER_QUESTIONS]
        self.first_model = FirstModelLine()
        self._model: ModelLoaded | None = None
        self._loading = self._greeting = False
        self._lay_out()
        self.show_model(None, loading=False)

    @property
    def title(self) -> str:
        return self._title.text()

    @property
    def text(self) -> str:
        return self._text.text()

    def set_greeting(self, greeting: bool) -> None:
        """Say what Bantam is, as long as its own small model is the one to talk to."""
        self._greeting = greeting
        if greeting:
            self.first_model.keep_room()
        self.show_model(self._model, self._loading)

    def show_model(self, model: ModelLoaded | None, loading: bool) -> None:
        """What to do first with this model, or without one."""
        self._model, self._loading = model, loading
        greets = self._greeting and _is_starter(model) and (model is not None or loading)
        set_icon(self._icon, "bird" if greets else "message-square", "accent" if greets else "text_secondary", 28)
        title, text = (WELCOME, GREETING) if greets else _invitation(model, loading)
        self._title.setText(title)
        self._text.setText(text)
        for button, question in zip(self.questions, _questions(model), strict=True):
            button.setText(question)
            button.setVisible(model is not None or loading)

    def _lay_out(self) -> None:
        self._title.setProperty("role", "title")
        self._title.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setProperty("role", "secondary")
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        for label in (self._icon, self._title, self._text):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        for label in (self._title, self._text):
            label.setWordWrap(True)
        inside = QWidget()
        inside.setMaximumWidth(_WIDTH)
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addStretch(2)
        for label in (self._icon, self._title, self._text):
            column.addWidget(label)
        column.addSpacing(8)
        for button in self.questions:
            button.clicked.connect(lambda _=False, b=button: self.question_chosen.emit(b.text()))
            column.addWidget(button)
        column.addSpacing(16)
        column.addWidget(self.first_model)
        column.addStretch(3)
        row = QHBoxLayout(self)
        row.setContentsMargins(24, 0, 24, 0)
        row.addStretch(1)
        row.addWidget(inside, 100)
        row.addStretch(1)


def _invitation(model: ModelLoaded | None, loading: bool) -> tuple[str, str]:
    if model is not None:
        return f"Ask {model.name}", _about(model)
    if loading:
        return (
            "The model is being loaded",
            "You can write already: your message is answered as soon as the model is there.",
        )
    return (
        "Load a model to chat with",
        "Press Ctrl+L to choose one, or open the Models page. Everything stays on this computer.",
    )


def _is_starter(model: ModelLoaded | None) -> bool:
    return model is None or model.path.name == STARTER_MODEL.name


def _questions(model: ModelLoaded | None) -> tuple[str, ...]:
    return STARTER_QUESTIONS if _is_starter(model) else QUESTIONS


def _about(model: ModelLoaded) -> str:
    if _is_starter(model):
        return "A very small model that comes with Bantam. It knows Python's standard library, and little else."
    if not model.has_chat_template:
        return "This model has no chat template: it continues texts, and may not answer as a chat model does."
    return "It answers on this computer. Nothing you write leaves it."


# A quiet line under the greeting: which model to take first on this computer, and the button that shows it.


_MEASURING = "Measuring this computer, to suggest a model for it…"
_OFFLINE = "You are offline now. Once you are online, “Show it” opens it on the Discover page."
_LEAST_HEIGHT = 72
"""Kept free until the suggestion comes, so that nothing moves then."""


class FirstModelLine(QWidget):
    """Says nothing, that it is being measured, or what to take; hidden altogether where there is nothing to suggest."""

    show_wanted = Signal(str)
    """Repository id"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choice: FirstChoice | None = None
        self.title, self.text = _label("strong"), _label("secondary")
        self.button = QPushButton("Show it")
        self.button.setAccessibleName("Show this model on the Discover page")
        self.button.clicked.connect(self._on_clicked)
        texts = QVBoxLayout()
        texts.setSpacing(4)
        texts.addWidget(self.title)
        texts.addWidget(self.text)
        texts.addStretch()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(16)
        row.addLayout(texts, 1)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)
        self.setMinimumHeight(_LEAST_HEIGHT)
        self.hide()

    def keep_room(self) -> None:
        """Nothing yet, but something will come."""
        self._show(None, "", "")

    def show_measuring(self) -> None:
        """It is not known yet."""
        self._show(None, "", _MEASURING)

    def show_choice(self, choice: FirstChoice, *, offline: bool) -> None:
        """What to take first, and where it is while there is no network."""
        more = _OFFLINE if offline else choice.sentence
        self._show(choice, f"A good first model for this computer: {choice.model.name}", f"{choice.model.why} {more}")

    def show_nothing(self) -> None:
        """There is a model already, or none that fits."""
        self._choice = None
        self.hide()

    def _show(self, choice: FirstChoice | None, title: str, text: str) -> None:
        self._choice = choice
        self.title.setText(title)
        self.title.setVisible(bool(title))
        self.text.setText(text)
        self.button.setVisible(choice is not None)
        self.show()

    def _on_clicked(self) -> None:
        if self._choice is not None:
            self.show_wanted.emit(self._choice.model.summary.id)


def _label(role: str) -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setProperty("role", role)
    return label
