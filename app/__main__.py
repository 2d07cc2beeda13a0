"""The entry point: opens the window, runs a terminal command or becomes the child, and imports only that."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.frozen import prepare


def main() -> int:
    """Run Bantam with the arguments of the command line; returns the exit code."""
    prepare()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--worker"]:
        from workers.child import main as worker

        return worker()
    file = model_file(arguments)
    if arguments and file is None:
        from app.cli import main as command

        return command(arguments)
    return _open_window(file)


def model_file(arguments: list[str]) -> Path | None:
    """The model to open in the window, where the only argument is one: `bantam FILE.gguf`, or its file:// address."""
    if len(arguments) != 1 or not arguments[0].lower().endswith(".gguf"):
        return None
    path = arguments[0]
    if path.startswith("file://"):
        path = unquote(urlsplit(path).path)
    return Path(path).absolute()


def _open_window(file: Path | None) -> int:
    try:
        from ui.main import main as window
    except ImportError as error:
        if "cannot open shared object file" not in str(error):
            raise
        library = str(error).partition(":")[0]
        hint = "Install the package that has it, or chat in the terminal: bantam chat"
        print(f"The window needs the library {library}, which this system does not have. {hint}", file=sys.stderr)
        return 1
    return window(file)


if __name__ == "__main__":
    sys.exit(main())
