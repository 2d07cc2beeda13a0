"""Takes the README's pictures: `python tests/readme_pictures.py [FOLDER]`.

The real window with the real starter model in a data folder of its own: every figure in a picture was measured while
it was taken. `tests/screenshots.py` is the other one: every state of the window, with sample data.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.program import Program

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "resources" / "screenshots"
SIZE = (1280, 800)
LONGEST_WAIT_S = 60
EARLIER = ("What does collections.Counter do?", "What does re.sub do?", "Show the signature of pathlib.Path.glob.")
QUESTIONS = ("What does os.path.join do?", "What does shutil.copy do?", "Show the signature of shutil.copy.")
LONG_ANSWER = "What does os.makedirs do?"
TOKENS_IN_WRITING = 30


def main() -> int:
    """Parse, prepare the environment, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(ROOT))
    os.environ["QT_QPA_PLATFORM"] = "offscreen"  # Qt reads it when it loads
    with tempfile.TemporaryDirectory() as home:
        os.environ["BANTAM_HOME"] = home  # of the child as well
        take_all(Path(home), folder)
    return 0


def take_all(home: Path, folder: Path) -> None:
    """Start the program in `home`, chat, and save a picture of each scene in `folder`."""
    from PySide6.QtWidgets import QApplication

    from app.settings import Settings, Theme, save_settings
    from app.system.paths import Paths
    from ui.look.theme import ThemeWatcher
    from ui.navigation import Page
    from ui.program import Program
    from ui.startup import first_run

    first_run.QUIET_MS = 3_600_000  # a measurement beside an answer belongs in no picture
    application = QApplication(["bantam"])
    paths = Paths(home).ensure()
    save_settings(paths.settings, Settings(theme=Theme.LIGHT))
    make_broken_downloads(paths.models)
    program = Program(paths, ThemeWatcher(application, Theme.LIGHT))
    program.window.resize(*SIZE)
    program.show()
    try:
        wait_for(lambda: program.engine.model is not None)
        for question in EARLIER:
            program.chat_page.new_chat()
            ask(program, question)
        program.chat_page.new_chat()
        for question in QUESTIONS:
            ask(program, question)
        save(program, folder / "chat-light.png")
        program.window.show_page(Page.MODELS)
        program.models_page.select(program.engine.model.path)
        save(program, folder / "models-light.png")
        program.window.show_page(0)
        program.settings.update(theme=Theme.DARK)
        begin(program, LONG_ANSWER, TOKENS_IN_WRITING)
        save(program, folder / "chat-writing-dark.png", settle=False)
        wait_for(lambda: not program.chat_page.answering.busy)
    finally:
        program.window.hide()
        program.end()


def make_broken_downloads(folder: Path) -> None:
    """Files that are no models, for the reasons the page gives."""
    from app.system.paths import STARTER_MODEL

    (folder / "cut-off-download.gguf").write_bytes(STARTER_MODEL.read_bytes()[:9_000_000])
    (folder / "login-page.gguf").write_text("<!DOCTYPE html>\n<title>Sign in</title>\n")


def ask(program: Program, question: str) -> None:
    """Send and wait for the whole answer."""
    begin(program, question, 1)
    wait_for(lambda: not program.chat_page.answering.busy)


def begin(program: Program, question: str, tokens: int) -> None:
    """Send and wait until `tokens` of the answer are there."""
    page = program.chat_page
    seen: list[object] = []
    program.engine.token.connect(seen.append)
    page.composer.set_text(question)
    page.composer.button.click()
    wait_for(lambda: len(seen) >= tokens)
    program.engine.token.disconnect(seen.append)


def wait_for(condition: Callable[[], bool]) -> None:
    """Run the event loop until it holds. Raises TimeoutError."""
    from PySide6.QtTest import QTest

    deadline = time.monotonic() + LONGEST_WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the window did not get there")
        QTest.qWait(5)


def save(program: Program, file: Path, settle: bool = True) -> None:
    """Grab the window; `settle` lets what is slow be painted and the memory be sampled first."""
    from PySide6.QtGui import QCursor
    from PySide6.QtTest import QTest

    QCursor.setPos(program.window.mapToGlobal(program.window.rect().center()))  # over nothing that lights up
    if settle:
        QTest.qWait(2500)
    picture = program.window.grab()
    picture.save(str(file))
    print(f"{file.name}  {picture.width()}x{picture.height()}")


if __name__ == "__main__":
    sys.exit(main())
