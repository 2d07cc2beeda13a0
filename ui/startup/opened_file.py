"""A model file that was opened from outside, by a double click or on the command line: used where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QUrl

from app.library.gguf_file import GgufHeader, read_header
from app.library.gguf_reader import printable
from workers.protocol import Failure

if TYPE_CHECKING:
    from ui.program import Program


def file_of_argument(argument: str) -> Path | None:
    """The absolute path a command line names, as a path or as a file:// address; None for ""."""
    if not argument:
        return None
    local = QUrl(argument).toLocalFile() if argument.startswith("file:") else argument
    return Path(local).absolute()


def open_file(program: Program, path: Path, otherwise: Path | None = None) -> None:
    """Look at the file, add it to the models if it is one, load it and show the chat.

    `otherwise` is loaded where it is none.
    """

    def on_header(_header: GgufHeader) -> None:
        program.models_page.include((path,))
        program.chat_with(path)

    def on_error(failure: Failure) -> None:
        if otherwise is not None:
            program.current.load(otherwise)  # first: a load that begins takes away what was said of the last
        program.window.show_failure(Failure(refusal(path, failure.sentence), failure.hint))

    program.tasks.run(read_header, path, on_result=on_header, on_error=on_error, receiver=program)


def refusal(path: Path, sentence: str) -> str:
    """Why the file was not opened, with its name in it once."""
    name = printable(path.name)
    return sentence if f"“{name}”" in sentence else f"“{name}” was not opened. {sentence}"
