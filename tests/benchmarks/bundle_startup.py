"""From the start of the bundle's process to a window that is painted and answers a key, on a virtual display.

    python -m tests.benchmarks.bundle_startup [--program FILE] [--pairs 7]

Looks from outside, as the bundle has no place for a probe: the display is no longer empty, then a key (Ctrl+5, the
settings) has taken the list of chats away. The figure holds the time that looking and xdotool take; how much that is
tells the same once more, 3 s later. Beside it the same of the sources, run by this Python. Needs Xvfb and xdotool.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtGui import QGuiApplication, QImage

from tests.benchmarks import pairs
from tests.benchmarks.bundle_speed import PROGRAM
from tests.benchmarks.engine import ROOT
from tests.benchmarks.pairs import Figure, Goal, watched

DISPLAY = ":86"
_LIMIT_S = 60
_MIDDLE = (600, 300, 80, 80)
_LIST_OF_CHATS = (90, 55, 240, 75)
"""Of the display: x, y, width, height. Small, so that looking takes little; in the list nothing else changes."""


@dataclass(frozen=True)
class Start:
    painted_s: float
    usable_s: float
    asking_s: float
    """What looking, xdotool and the change of the page take once the window is long there."""


def main() -> int:
    options = _options()
    before = pairs.machine()
    with _display(), tempfile.TemporaryDirectory() as home:
        os.environ.update(DISPLAY=DISPLAY, QT_QPA_PLATFORM="xcb")
        application = QGuiApplication([])
        source = [sys.executable, "-m", "app"]
        for command in (
            [str(options.program)],
            source,
        ):  # the first time is another thing: files are read from the disk
            _start(command, home)
        turns = pairs.in_turns(
            options.pairs,
            lambda: watched(lambda: _start([str(options.program)], home)),
            lambda: watched(lambda: _start(source, home)),
        )
        del application
    ours, theirs = turns.ours, turns.theirs
    figures = [
        Figure("bundle: start to usable window", tuple(s.usable_s for s in ours), "s", Goal(1.5), turns.note),
        Figure("  to its first picture", tuple(s.painted_s for s in ours), "s"),
        Figure("  of that the asking itself", tuple(s.asking_s for s in ours), "s"),
        Figure("sources: start to usable window", tuple(s.usable_s for s in theirs), "s"),
        Figure("  to its first picture", tuple(s.painted_s for s in theirs), "s"),
    ]
    return pairs.show(figures, before, options.json)


def _start(command: Sequence[str], home: str) -> Start:
    empty = _picture()
    environment = {**os.environ, "BANTAM_HOME": home}
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: _picture() != empty)
        painted = time.perf_counter() - start
        window = _show_settings()
        usable = time.perf_counter() - start
        time.sleep(3)
        _xdo("key", "--window", window, "ctrl+1")
        time.sleep(1)
        asked = time.perf_counter()
        _show_settings()
        asking = time.perf_counter() - asked
    finally:
        process.terminate()
        process.wait(30)
    return Start(painted, usable, asking)


def _show_settings() -> str:
    """Returns the window, as xdotool names it."""
    window = _xdo("search", "--onlyvisible", "--name", "Bantam").split()[-1]
    _xdo("windowfocus", "--sync", window)
    chats = _picture(_LIST_OF_CHATS)
    _until(lambda: bool(_xdo("key", "--window", window, "ctrl+5")) or _picture(_LIST_OF_CHATS) != chats)
    return window


def _until(holds: Callable[[], bool]) -> None:
    end = time.perf_counter() + _LIMIT_S
    while not holds():
        if time.perf_counter() > end:
            raise RuntimeError("the window did not change")
        time.sleep(0.02)


def _picture(part: tuple[int, int, int, int] = _MIDDLE) -> QImage:
    return QGuiApplication.primaryScreen().grabWindow(0, *part).toImage()


def _xdo(*arguments: str) -> str:
    return subprocess.run(["xdotool", *arguments], capture_output=True, text=True).stdout


@contextmanager
def _display() -> Iterator[None]:
    server = subprocess.Popen(["Xvfb", DISPLAY, "-screen", "0", "1280x800x24"], stderr=subprocess.DEVNULL)
    try:
        while not Path(f"/tmp/.X11-unix/X{DISPLAY[1:]}").exists():
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait()


def _options() -> argparse.Namespace:
    parser = pairs.parser(__doc__, pairs=7)
    parser.add_argument("--program", type=Path, default=PROGRAM)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
