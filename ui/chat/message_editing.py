"""An earlier message in the composer: what was there before comes back when the edit is left."""

from __future__ import annotations

from app.chat.conversation import StoredMessage
from ui.chat.composer import Composer


class MessageEditing:
    """`message` is the one that is edited, None most of the time."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._draft = ""
        self.message: StoredMessage | None = None

    @property
    def unsent(self) -> str:
        """What is typed and not sent: while a message is edited, what was there before."""
        return self._composer.text if self.message is None else self._draft

    def begin(self, message: StoredMessage) -> None:
        """Put the message into the composer."""
        if self.message is None:
            self._draft = self._composer.text
        self.message = message
        self._composer.set_editing(True)
        self._composer.set_text(message.content)
        self._composer.field.setFocus()

    def end(self) -> None:
        """Back to the draft, if something was edited."""
        if self.message is not None:
            self.message = None
            self._composer.set_editing(False)
            self._composer.set_text(self._draft)

    def sent(self) -> None:
        """The new version is stored: what was there before has its place again, unless more was typed."""
        if self.message is not None:
            self.message = None
            self._composer.set_editing(False)
            if not self._composer.text:
                self._composer.set_text(self._draft)
