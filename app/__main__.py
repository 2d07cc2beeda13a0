"""The entry point: opens the window, runs a terminal command or becomes the child, and imports only that."""

from __future__ import annotations

import sys

from app.system.frozen import prepare


def main() -> int:
    """Run Bantam with the arguments of the command line; returns the exit code."""
    prepare()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--worker"]:
        from workers.child import main as worker

        return worker()
    if arguments and not names_a_model(arguments):
        from app.cli import main as command

        return command(arguments)
    return _open_window(arguments[0] if arguments else "")


def names_a_model(arguments: list[str]) -> bool:
    """`bantam model.gguf`, or the address that a file manager gives: the window, with that model."""
    return len(arguments) == 1 and (arguments[0].lower().endswith(".gguf") or arguments[0].startswith("file:"))


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
