"""The window on Wayland: a compositor without a screen, outside of the root, whose socket lies in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from smoke.root import USER, Root, background, check, environment, is_loaded, run, wait_for

NAME = "wayland-7"
RUNTIME = f"/run/user/{USER}"
SESSION = {"WAYLAND_DISPLAY": NAME, "XDG_SESSION_TYPE": "wayland", "XDG_RUNTIME_DIR": RUNTIME}
"""What a session on Wayland gives a program. No DISPLAY: X11 cannot step in."""


@contextlib.contextmanager
def compositor(root: Root) -> Iterator[Path]:
    """Weston, drawing in memory; gives the folder of its socket."""
    folder = root.folder / RUNTIME.lstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    root.own(folder)
    folder.chmod(0o700)
    options = ("--backend=headless-backend.so", "--use-pixman", "--width=1280", "--height=800", "--idle-time=0")
    # With --debug anyone may take pictures of the screen.
    command = ("weston", *options, "--debug", "--no-config", f"--socket={NAME}")
    with background(*command, env={**os.environ, "XDG_RUNTIME_DIR": str(folder)}):
        wait_for("a Wayland compositor", 20, (folder / NAME).exists)
        root.own(folder)
        yield folder


def test_wayland(root: Root, pictures: Path) -> None:
    """The window comes, loads the starter model, and ends in order."""
    (root.data / "settings.json").unlink(missing_ok=True)
    with compositor(root) as runtime, background(*root.command(), env=environment(**SESSION)) as window:
        wait_for("the window on Wayland, its model loaded", 120, lambda: is_loaded(root) or window.poll() is not None)
        time.sleep(2)
        shoot(runtime, pictures / "wayland.png")
        window.send_signal(signal.SIGTERM)
        wait_for("its end", 30, lambda: window.poll() is not None)
        assert window.stderr is not None
        check(window.returncode == 0, f"its exit code is 0; it said: {window.stderr.read().strip() or 'nothing'}")


def shoot(runtime: Path, path: Path) -> None:
    """What is on the compositor's screen, as a PNG. weston's own program chooses the name."""
    with tempfile.TemporaryDirectory() as folder:
        session = {"WAYLAND_DISPLAY": NAME, "XDG_RUNTIME_DIR": str(runtime), "XDG_PICTURES_DIR": folder}
        run("env", "-C", folder, "weston-screenshooter", env={**os.environ, **session})
        (made,) = Path(folder).glob("*.png")
        shutil.move(made, path)
