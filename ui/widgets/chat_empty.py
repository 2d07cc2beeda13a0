"""A chat without messages: what to do first, with questions to begin with."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.events import ModelLoaded
from app.paths import STARTER_MODEL
from ui.icons import set_icon

STARTER_QUESTIONS = (
    "What does os.path.join do?",
    "Show the signature of shutil.copy.",
    "What does json.dumps return?",
)
QUESTIONS = (
    "Explain in three sentences how a refrigerator works.",
    "Write a short, friendly e-mail that moves a meeting to Friday.",
    "Show a Python function that counts the words in a text file.",
)
_WIDTH = 440


class ChatEmpty(QWidget):
    """Renders whether a model is there; a question that is chosen goes into the composer."""

    question_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = QLabel()
        self._title = QLabel()
        self._text = QLabel()
        self.questions = [QPushButton() for _ in STARTER_QUESTIONS]
        self._lay_out()
        self.show_model(None, loading=False)

    @property
    def title(self) -> str:
        return self._title.text()

    def show_model(self, model: ModelLoaded | None, loading: bool) -> None:
        """What to do first with this model, or without one."""
        set_icon(self._icon, "message-square", "text_secondary", 28)
        if model is None:
            self._title.setText("The model is being loaded" if loading else "Load a model to chat with")
            self._text.setText(
                "You can write already: your message is answered as soon as the model is there."
                if loading
                else "Press Ctrl+L to choose one, or open the Models page. Everything stays on this computer."
            )
        else:
            self._title.setText(f"Ask {model.name}")
            self._text.setText(_about(model))
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
        column.addStretch(3)
        row = QHBoxLayout(self)
        row.setContentsMargins(24, 0, 24, 0)
        row.addStretch(1)
        row.addWidget(inside, 100)
        row.addStretch(1)


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
