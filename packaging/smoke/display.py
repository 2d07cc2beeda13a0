"""The virtual displays of the smoke test: X11's, which takes keys, and a Wayland compositor without a screen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from smoke.root import run

DISPLAY = ":87"
SCREEN, LARGE = "1280x800", "2560x1600"
"""An ordinary laptop's and one of double density; the display has the size of the second."""


def xdo(*arguments: str) -> str:
    """xdotool on our display; empty where it finds nothing."""
    done = subprocess.run(
        ["xdotool", *arguments], env={**os.environ, "DISPLAY": DISPLAY}, capture_output=True, text=True
    )
    return done.stdout.strip()


def window_identity() -> str:
    """The window, with the focus, which no window manager gives it here."""
    identity = xdo("search", "--onlyvisible", "--name", "Bantam").splitlines()[-1]
    xdo("windowfocus", "--sync", identity)
    return identity


def resize(identity: str, size: str) -> None:
    """Give the window that many pixels; the corner of the display is where it stands."""
    xdo("windowmove", identity, "0", "0")
    xdo("windowsize", identity, *size.split("x"))


def picture(path: Path, size: str = SCREEN) -> None:
    """What is on the display, from its corner on, as a PNG."""
    run("import", "-display", DISPLAY, "-window", "root", "-crop", f"{size}+0+0", "+repage", str(path))
