#!/usr/bin/env python3
"""Installs the .deb into an empty Debian and uses it as a person would: `sudo python3 packaging/smoke_test.py`.

The root has what debootstrap's smallest variant has and what the package's Depends bring: no Python, no compiler, no
GPU, no GL driver, no keyring service. In it, as an ordinary user whose home has a space and letters beyond ASCII: open
the window on a virtual display, type a question, wait for the starter model's answer, take a picture, quantize a model
from a local hub, quit. Then the bad cases: no display, a read-only program, a .gguf to open, what removing it leaves.

Needs root, and on this machine: debootstrap, xvfb, xdotool, imagemagick.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MIRROR = "http://deb.debian.org/debian"
USER, HOME = 1000, "/home/Jürgen Groß"
DISPLAY = ":87"
HUB_PORT = 8187
QUESTION = "What does os.path.join do?"
EXPECTED = "path"
MODEL = "me/stdlib-3m"


class SmokeError(Exception):
    """What did not work."""


def check(holds: bool, what: str) -> None:
    """Say that `what` works, or end the test."""
    if not holds:
        raise SmokeError(f"FAILED: {what}")
    print(f"  ok  {what}", flush=True)


def wait_for(what: str, seconds: float, found: Callable[[], object]) -> None:
    """Wait until `found` returns something true."""
    until = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > until:
            raise SmokeError(f"FAILED: {what} did not come within {seconds:.0f} s")
        time.sleep(0.25)
    check(bool(value), what)


class Root:
    """An empty system in a folder, with the package installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / HOME.lstrip("/")
        self.data = self.home / ".local/share/Bantam"

    def make(self, packages: list[Path]) -> None:
        """debootstrap, then the packages with what they depend on, and nothing that is only recommended."""
        if not (self.folder / "etc/debian_version").exists():
            run("debootstrap", "--variant=minbase", "bookworm", str(self.folder), MIRROR)
        for package in packages:
            shutil.copy2(package, self.folder / "tmp" / package.name)
        names = [f"/tmp/{package.name}" for package in packages]
        with self.mounted():
            self.as_root("apt-get", "install", "-y", "-q", "--no-install-recommends", "--reinstall", *names)
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        os.chown(self.home, USER, USER)

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """With /proc and the few devices that any program has."""
        for name in ("proc", "dev"):
            run("mount", "--bind", f"/{name}", str(self.folder / name))
        try:
            yield
        finally:
            for name in ("dev", "proc"):
                run("umount", "--lazy", str(self.folder / name))

    def as_root(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the root's, as its administrator."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8"}
        return run("/usr/sbin/chroot", str(self.folder), *command, env=environment)

    def as_user(self, *command: str) -> list[str]:
        """A command line that runs in the root as the user."""
        return ["/usr/sbin/chroot", f"--userspec={USER}:{USER}", str(self.folder), *command]

    def command(self, *arguments: str) -> list[str]:
        """`bantam` with arguments, as the user, in the root."""
        return self.as_user("/usr/bin/bantam", *arguments)

    def bantam(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a terminal command of Bantam's to its end."""
        return subprocess.run(
            self.command(*arguments), env=environment(**variables), capture_output=True, encoding="utf-8", timeout=600
        )


def environment(**more: str) -> dict[str, str]:
    """What a session gives a program, and no more."""
    return {"PATH": "/usr/bin:/bin", "HOME": HOME, "USER": "user", "LANG": "C.UTF-8", **more}


def run(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise SmokeError(f"FAILED: {' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


@contextlib.contextmanager
def background(
    *command: str, env: dict[str, str] | None = None, cwd: Path = PROJECT
) -> Iterator[subprocess.Popen[str]]:
    """A process that is there while the body runs."""
    process = subprocess.Popen(command, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)
        assert process.stderr is not None
        process.stderr.close()


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


def picture(path: Path) -> None:
    """What is on the display, as a PNG."""
    run("import", "-display", DISPLAY, "-window", "root", str(path))


def answers(data: Path) -> list[str]:
    """The finished answers in the conversations of a data folder."""
    if not (data / "chats.sqlite3").exists():
        return []
    with contextlib.closing(sqlite3.connect(data / "chats.sqlite3")) as chats:
        rows = chats.execute("SELECT content FROM messages WHERE role = 'assistant' AND state <> 'streaming'")
        return [content for (content,) in rows]


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
    done = root.bantam()
    check(done.returncode == 1 and done.stderr.count("\n") == 1, f"without a display it says: {done.stderr.strip()}")


def test_window(root: Root, pictures: Path) -> None:
    """From the first start to the end, in the window."""
    started = time.monotonic()
    with background(*root.command(), env=environment(DISPLAY=DISPLAY)) as window:
        wait_for("the window", 60, lambda: xdo("search", "--onlyvisible", "--name", "Bantam"))
        print(f"      {time.monotonic() - started:.1f} s after the first start", flush=True)
        wait_for("the starter model, loaded", 120, lambda: _is_loaded(root))
        identity = window_identity()
        xdo("windowsize", identity, "1280", "800")
        time.sleep(1)
        xdo("type", "--window", identity, "--delay", "40", QUESTION)
        xdo("key", "--window", identity, "Return")
        wait_for("an answer in the window", 120, lambda: any(EXPECTED in answer for answer in answers(root.data)))
        time.sleep(1)
        picture(pictures / "answer.png")
        second = root.bantam("/usr/lib/bantam/_internal/resources/starter/stdlib-21m-Q8_0.gguf", DISPLAY=DISPLAY)
        check(second.returncode == 0, "a second start with a .gguf hands it to the window")
        wait_for("the file in the list of models", 30, lambda: "stdlib-21m" in _settings(root).get("last_model", ""))
        xdo("key", "--window", identity, "ctrl+q")
        wait_for("the end", 30, lambda: window.poll() is not None)
        assert window.stderr is not None
        said = window.stderr.read()
        check(window.returncode == 0, f"the exit code is 0; it said: {said.strip() or 'nothing'}")
    check(not _left_over(root), "no process is left")
    check(not (root.data / "loading.json").exists(), "no mark of a crash is left")


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


def test_archive(root: Root, archive: Path) -> None:
    """The archive runs where it is unpacked, beside the package, and comes into the menu and out again."""
    folder = root.home / "Über uns"
    folder.mkdir()
    run("tar", "-xzf", str(archive), "-C", str(folder))
    run("chown", "-R", f"{USER}:{USER}", str(folder))
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


def test_large_text(root: Root, pictures: Path) -> None:
    """A display of double density."""
    with background(*root.command(), env=environment(DISPLAY=DISPLAY, QT_SCALE_FACTOR="2")) as window:
        wait_for("the window at 200 %", 60, lambda: xdo("search", "--onlyvisible", "--name", "Bantam"))
        time.sleep(4)
        picture(pictures / "large.png")
        xdo("key", "--window", window_identity(), "ctrl+q")
        wait_for("its end", 30, lambda: window.poll() is not None)
        check(window.returncode == 0, "its exit code is 0")


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


def test_removal(root: Root) -> None:
    """Removing the package leaves the user's data and says where it is."""
    said = root.as_root("dpkg", "--remove", "bantam").stdout
    check("~/.local/share/Bantam" in said, "removal says where data stays")
    check((root.data / "chats.sqlite3").exists(), "and it does stay")
    check(not (root.folder / "usr/lib/bantam").exists(), "nothing of the program is left")


def _is_loaded(root: Root) -> bool:
    return bool(_settings(root).get("last_model")) and not (root.data / "loading.json").exists()


def _settings(root: Root) -> dict[str, str]:
    try:
        settings: dict[str, str] = json.loads((root.data / "settings.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return settings


def _left_over(root: Root) -> list[str]:
    done = subprocess.run(["pgrep", "-f", "/usr/lib/bantam/bantam"], capture_output=True, text=True)
    inside = str(root.folder)
    return [pid for pid in done.stdout.split() if os.path.realpath(f"/proc/{pid}/root") == inside]


def _answers(port: int) -> bool:
    import socket

    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def main() -> int:
    """Run all of it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=PROJECT / "build/bundle/root", help="the empty root; kept")
    parser.add_argument("--pictures", type=Path, default=PROJECT / "build/bundle/pictures")
    parser.add_argument("--hub-python", default=sys.executable, help="a Python that runs tests.hub_server")
    options = parser.parse_args()
    if os.geteuid():
        print("This needs root, for chroot. Run it with sudo.", file=sys.stderr)
        return 1
    packages = sorted((PROJECT / "dist").glob("bantam_*.deb"))
    options.pictures.mkdir(parents=True, exist_ok=True)
    root = Root(options.root)
    try:
        root.make(packages[-1:])
        with root.mounted(), background("Xvfb", DISPLAY, "-screen", "0", "1280x800x24"):
            test_is_bare(root)
            test_terminal(root)
            test_window(root, options.pictures)
            test_quantize(root, PROJECT / "build/bundle/hub", options.hub_python)
            test_large_text(root, options.pictures)
            test_archive(root, max((PROJECT / "dist").glob("bantam-[0-9]*.tar.gz")))
            test_read_only(root)
            test_removal(root)
    except SmokeError as error:
        print(error, file=sys.stderr)
        with contextlib.suppress(SmokeError):
            picture(options.pictures / "failed.png")
        return 1
    print(f"All of it works. Pictures: {options.pictures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
