"""What a person does with the program: a question in the terminal and in the window, a smaller model, the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from pathlib import Path

from smoke.display import DISPLAY, LARGE, SCREEN, picture, resize, window_identity, xdo
from smoke.root import (
    EXPECTED,
    HOME,
    PROJECT,
    QUESTION,
    Root,
    answers,
    background,
    check,
    environment,
    is_loaded,
    left_over,
    run,
    settings_of,
    wait_for,
)

HUB_PORT = 8187
MODEL = "me/stdlib-3m"
PAGES = ("chat", "discover", "models", "workshop", "settings", "about")


def test_is_bare(root: Root) -> None:
    """The root can neither run the sources nor compile."""
    for name in ("python3", "gcc", "cc", "cmake"):
        check(not list(root.folder.glob(f"usr/*bin/{name}*")), f"there is no {name} in the root")
    # Debian's libgl1 brings Mesa's drivers along; a machine may have none that works.
    for folder in root.folder.glob("usr/lib/*/dri"):
        shutil.rmtree(folder)
    check(not list(root.folder.glob("usr/lib/*/dri/*")), "there is no GL driver in the root")


def test_terminal(root: Root) -> None:
    """The commands, without a display."""
    done = root.bantam("--version")
    check(done.stdout.startswith("Bantam "), f"bantam --version says {done.stdout.strip()}")
    done = root.bantam("chat", "--prompt", QUESTION, "--temperature", "0", LANG="C")
    check(done.returncode == 0 and EXPECTED in done.stdout, "bantam chat answers, in a locale without umlauts")


def test_window(root: Root, pictures: Path) -> None:
    """From the first start to the end, in the window."""
    started = time.monotonic()
    with background(*root.command(), env=environment(DISPLAY=DISPLAY)) as window:
        wait_for("the window", 60, lambda: xdo("search", "--onlyvisible", "--name", "Bantam"))
        print(f"      {time.monotonic() - started:.1f} s after the first start", flush=True)
        wait_for("the starter model, loaded", 120, lambda: is_loaded(root))
        identity = window_identity()
        resize(identity, SCREEN)
        time.sleep(1)
        xdo("type", "--window", identity, "--delay", "40", QUESTION)
        xdo("key", "--window", identity, "Return")
        wait_for("an answer in the window", 120, lambda: any(EXPECTED in answer for answer in answers(root.data)))
        time.sleep(1)
        picture(pictures / "answer.png")
        second = root.bantam("/usr/lib/bantam/_internal/resources/starter/stdlib-21m-Q8_0.gguf", DISPLAY=DISPLAY)
        check(second.returncode == 0, "a second start with a .gguf hands it to the window")
        wait_for("the file in the list of models", 30, lambda: "stdlib-21m" in str(settings_of(root).get("last_model")))
        visit_pages(root, identity, pictures)
        xdo("key", "--window", identity, "ctrl+q")
        wait_for("the end", 30, lambda: window.poll() is not None)
        assert window.stderr is not None
        said = window.stderr.read()
        check(window.returncode == 0, f"the exit code is 0; it said: {said.strip() or 'nothing'}")
    check(not left_over(root), "no process is left")
    check(not (root.data / "loading.json").exists(), "no mark of a crash is left")


def visit_pages(root: Root, identity: str, pictures: Path) -> None:
    """Open every page once: what they are made of is imported only then. What nobody caught is in the log."""
    for number, name in enumerate(PAGES, 1):
        xdo("key", "--window", identity, f"ctrl+{number}")
        time.sleep(5)
        picture(pictures / f"{name}.png")
    log = root.data / "logs/window.log"
    said = log.read_text("utf-8") if log.exists() else ""
    check(not said, f"every page opens; the log of faults says: {said.strip()[-300:] or 'nothing'}")


def test_quantize(root: Root, hub_folder: Path, python: str) -> None:
    """Download original weights from a hub and quantize them."""
    target = hub_folder / MODEL
    if not target.exists():
        shutil.copytree(PROJECT / "tests/data/stdlib-3m", target)
    hub = ("-m", "tests.hub_server", str(hub_folder), "--port", str(HUB_PORT))
    with background(python, *hub, env={**os.environ, "PYTHONPATH": str(PROJECT)}):
        wait_for("the hub", 20, lambda: _answers(HUB_PORT))
        endpoint = f"http://127.0.0.1:{HUB_PORT}"
        done = root.bantam("quantize", MODEL, "Q4_0", "--json", HF_ENDPOINT=endpoint)
        check(
            done.returncode == 0,
            f"bantam quantize {MODEL}: {done.stderr.strip()[-300:] if done.returncode else 'Q4_0'}",
        )
    (made,) = json.loads(done.stdout)["models"]
    done = root.bantam("chat", made["path"], "--prompt", QUESTION, "--temperature", "0")
    check(done.returncode == 0 and bool(done.stdout.strip()), f"the {made['size_bytes'] / 1e6:.1f} MB file answers")


def test_archive(root: Root, archive: Path) -> str:
    """The archive runs where it is unpacked, and comes into the menu and out again; returns its folder in the root."""
    folder = root.home / "Über uns"
    folder.mkdir()
    run("tar", "-xzf", str(archive), "-C", str(folder))
    root.own(folder)
    (unpacked,) = folder.iterdir()
    inside = f"{HOME}/{folder.name}/{unpacked.name}"
    answer = run(
        *root.as_user(f"{inside}/bantam", "chat", "--prompt", QUESTION, "--temperature", "0"), env=environment()
    )
    check(EXPECTED in answer.stdout, "the archive's program answers, in a folder with a space and an umlaut")
    run(*root.as_user(f"{inside}/install.sh"), env=environment())
    entry = root.home / ".local/share/applications/bantam.desktop"
    check(f'Exec="{inside}/bantam" %f' in entry.read_text("utf-8"), "install.sh adds it to the menu")
    run(*root.as_user(f"{inside}/install.sh", "--remove"), env=environment())
    check(not entry.exists(), "and takes it out again")
    return inside


def test_large_text(root: Root, pictures: Path) -> None:
    """A display of double density."""
    with background(*root.command(), env=environment(DISPLAY=DISPLAY, QT_SCALE_FACTOR="2")) as window:
        wait_for("the window at 200 %", 60, lambda: xdo("search", "--onlyvisible", "--name", "Bantam"))
        identity = window_identity()
        resize(identity, LARGE)
        time.sleep(4)
        picture(pictures / "large.png", LARGE)
        xdo("key", "--window", identity, "ctrl+q")
        wait_for("its end", 30, lambda: window.poll() is not None)
        check(window.returncode == 0, "its exit code is 0")


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
