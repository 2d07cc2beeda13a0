"""What must end well: no display, a program or a data folder that cannot be written, other versions' data, removal."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from smoke.display import DISPLAY, picture
from smoke.root import (
    EXPECTED,
    QUESTION,
    Root,
    answers,
    background,
    check,
    environment,
    is_loaded,
    run,
    settings_of,
    told,
    wait_for,
)

NEWER = {"theme": "dark", "colours": {"accent": "red"}}


def test_no_display(root: Root) -> None:
    """None, one of X11's that is not there, and a Wayland compositor that is not there."""
    told(root.bantam(), "without a display", "display")
    told(root.bantam(DISPLAY=":98"), "on a display that does not answer", ":98")
    silent = {"WAYLAND_DISPLAY": "wayland-8", "XDG_SESSION_TYPE": "wayland", "XDG_RUNTIME_DIR": "/run"}
    told(root.bantam(**silent), "on a Wayland display that does not answer", "No window")


def test_read_only(root: Root) -> None:
    """The program's folder cannot be written, not even by root: nothing in it is made at run time."""
    folder = root.folder / "usr/lib/bantam"
    run("mount", "--bind", str(folder), str(folder))
    run("mount", "-o", "remount,ro,bind", str(folder))
    try:
        done = root.bantam("chat", "--prompt", QUESTION, "--temperature", "0")
        check(done.returncode == 0 and EXPECTED in done.stdout, "a program on a read-only disk answers")
    finally:
        run("umount", str(folder))


def test_closed_data_folder(root: Root) -> None:
    """The data folder belongs to somebody else."""
    folder = root.folder / "srv/closed"
    folder.mkdir(mode=0o755, exist_ok=True)
    told(root.bantam("chat", "--prompt", QUESTION, BANTAM_HOME="/srv/closed/data"), "without a data folder", "closed")


def test_older_data(root: Root) -> None:
    """A data folder from before there was a mark in it: its chats and settings are there afterwards."""
    before = answers(root.data)
    (root.data / "folder.json").unlink()
    (root.data / "window.json").unlink()
    write(root, "settings.json", {"theme": "dark"})
    with background(*root.command(), env=environment(DISPLAY=DISPLAY)) as window:
        wait_for("the window on an older data folder", 120, lambda: is_loaded(root))
        window.send_signal(signal.SIGTERM)
        wait_for("its end", 30, lambda: window.poll() is not None)
        check(window.returncode == 0, "its exit code is 0")
    check((root.data / "folder.json").exists() and settings_of(root)["theme"] == "dark", "its settings are kept")
    check(bool(before) and answers(root.data) == before, "its chats are kept")


def test_newer_data(root: Root, pictures: Path) -> None:
    """A data folder that a newer version has used: its files are copied aside, and the window says so."""
    write(root, "folder.json", {"format": 99, "version": "9.9"})
    write(root, "settings.json", NEWER)
    with background(*root.command(), env=environment(DISPLAY=DISPLAY)) as window:
        wait_for("the window on a newer data folder", 120, lambda: is_loaded(root))
        time.sleep(1)
        picture(pictures / "newer.png")
        window.send_signal(signal.SIGTERM)
        wait_for("its end", 30, lambda: window.poll() is not None)
        check(window.returncode == 0, "its exit code is 0")
    kept = json.loads((root.data / "kept-format-99" / "settings.json").read_text("utf-8"))
    check(kept == NEWER, "the newer version's settings are kept aside")
    check(settings_of(root).get("colours") == NEWER["colours"], "what is not understood stays in the settings")


def test_removal(root: Root) -> None:
    """Removing the package leaves the user's data and says where it is."""
    said = root.as_root("dpkg", "--remove", "bantam").stdout
    check("~/.local/share/Bantam" in said, "removal says where data stays")
    check((root.data / "chats.sqlite3").exists(), "and it does stay")
    check(not (root.folder / "usr/lib/bantam").exists(), "nothing of the program is left")


def write(root: Root, name: str, content: object) -> None:
    """A small file of the data folder, as the user's."""
    path = root.data / name
    path.write_text(json.dumps(content), "utf-8")
    root.own(path)
