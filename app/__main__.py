"""The entry point: opens the window, runs a terminal command or becomes the child, and imports only that."""

from __future__ import annotations

import sys


def main() -> int:
    """Run Bantam with the arguments of the command line; returns the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--worker"]:
        from workers.child import main as worker

        return worker()
    if arguments:
        from app.cli import main as command

        return command(arguments)
    from ui.main import main as window

    return window()


if __name__ == "__main__":
    sys.exit(main())
