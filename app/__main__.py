"""The entry point: opens the window, runs a terminal command or becomes the child, and imports only that."""

from __future__ import annotations

import sys

from app.system.frozen import prepare
from app.system.paths import ask_for_debug_log

DEBUG = "--debug"


def main() -> int:
    """Run Bantam with the arguments of the command line; returns the exit code."""
    prepare()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--worker"]:
        from workers.child import main as worker

        return worker()
    if opens_the_window(arguments):
        if DEBUG in arguments:
            ask_for_debug_log()
        return _open_window(next((argument for argument in arguments if argument != DEBUG), ""))
    from app.cli import main as command

    return command(arguments)


def opens_the_window(arguments: list[str]) -> bool:
    """Nothing to do, or `bantam model.gguf`, or the address that a file manager gives: the window, with that model."""
    named = [argument for argument in arguments if argument != DEBUG]
    return not named or (len(named) == 1 and (named[0].lower().endswith(".gguf") or named[0].startswith("file:")))


def _open_window(file: str) -> int:
    try:
        from ui.app import main as window
    except ImportError as error:
        if not _is_of_qt(error):
            raise
        print(f"Qt, which draws the window, cannot be loaded: {error}.", file=sys.stderr)
        print("Install what is missing, or chat in the terminal: bantam chat", file=sys.stderr)
        return 1
    return window(file)


def _is_of_qt(error: ImportError) -> bool:
    """A system library that Qt needs is missing, or Qt itself."""
    return ".so" in str(error) or (error.name or "").partition(".")[0] in ("PySide6", "shiboken6")


if __name__ == "__main__":
    sys.exit(main())
