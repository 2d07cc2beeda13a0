"""What the person at the terminal reads: sentences, a line of progress that is always alive, errors and the way out."""

from __future__ import annotations

import sys
import time

QUIET_INTERVAL_S = 10.0  # where output goes to a file, a line this often says that a long step is still running


class SetupError(Exception):
    """Something the person can mend. The message is a sentence; `hint` is what to do, possibly a line to type."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.hint = hint


def say(line: str = "") -> None:
    """Print a line now: output to a file would otherwise come after that of the programs we start."""
    print(line, flush=True)


def minutes(seconds: float) -> str:
    """A duration as a person says it: `45 s`, `5 min 03 s`."""
    whole = int(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


class ProgressLine:
    """One line that is rewritten on a terminal, and printed now and then elsewhere. A context manager."""

    def __init__(self, is_terminal: bool | None = None) -> None:
        self._is_terminal = sys.stdout.isatty() if is_terminal is None else is_terminal
        self._started = self._printed = time.monotonic()
        self._text = ""
        self._width = 0

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exception: object) -> None:
        self._clear()

    def show(self, text: str) -> None:
        """Show what is going on, in a few words."""
        self._text = text
        if self._is_terminal:
            self._rewrite()
        elif time.monotonic() - self._printed > QUIET_INTERVAL_S:
            self._print()

    def tick(self) -> None:
        """Nothing new was heard: show that time passes and that the step is alive."""
        self.show(self._text)

    def _line(self) -> str:
        return f"      {self._text or 'working'} ({minutes(time.monotonic() - self._started)})"

    def _rewrite(self) -> None:
        line = self._line()[:99]
        sys.stdout.write("\r" + line.ljust(self._width))
        sys.stdout.flush()
        self._width = len(line)

    def _print(self) -> None:
        self._printed = time.monotonic()
        say(self._line())

    def _clear(self) -> None:
        if self._is_terminal and self._width:
            sys.stdout.write("\r" + " " * self._width + "\r")
            sys.stdout.flush()
