"""An empty Debian in a folder with Bantam's package installed, and how a program is run in it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
MIRROR = "http://deb.debian.org/debian"
USER, HOME = 1000, "/home/Jürgen Groß"
DATA = ".local/share/Bantam"
QUESTION = "What does os.path.join do?"
EXPECTED = "path"


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
        self.data = self.home / DATA

    def make(self, packages: list[Path]) -> None:
        """debootstrap, then the packages with what they depend on, and nothing that is only recommended."""
        if not (self.folder / "etc/debian_version").exists():
            run("debootstrap", "--variant=minbase", "bookworm", str(self.folder), MIRROR)
        for package in packages:
            shutil.copy2(package, self.folder / "tmp" / package.name)
        names = [f"/tmp/{package.name}" for package in packages]
        with self.mounted():
            if (self.folder / "usr/lib/bantam/torch-packages").exists():  # a run that failed has left it
                self.as_root("dpkg", "--remove", "bantam-torch")
            self.as_root("apt-get", "install", "-y", "-q", "--no-install-recommends", "--reinstall", *names)
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.own(self.home)

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

    def own(self, path: Path) -> None:
        """Give a file, or a folder with all that is in it, to the user."""
        run("chown", "-R", f"{USER}:{USER}", str(path))

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


def told(done: subprocess.CompletedProcess[str], what: str, word: str) -> None:
    """Check that a command has failed with a sentence for people, at most with a line on the way out, naming `word`."""
    said = done.stderr.strip()
    good = done.returncode == 1 and word in said and said.count("\n") <= 1 and "Traceback" not in said
    check(good, f"{what} it ends with {done.returncode} and says: {said}")


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


def answers(data: Path) -> list[str]:
    """The finished answers in the conversations of a data folder."""
    if not (data / "chats.sqlite3").exists():
        return []
    with contextlib.closing(sqlite3.connect(data / "chats.sqlite3")) as chats:
        rows = chats.execute("SELECT content FROM messages WHERE role = 'assistant' AND state <> 'streaming'")
        return [content for (content,) in rows]


def settings_of(root: Root) -> dict[str, object]:
    """The user's settings; empty while there are none."""
    try:
        settings: dict[str, object] = json.loads((root.data / "settings.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return settings


def is_loaded(root: Root) -> bool:
    """Whether a model was loaded since there are settings."""
    return bool(settings_of(root).get("last_model")) and not (root.data / "loading.json").exists()


def left_over(root: Root) -> list[str]:
    """Processes of the installed program that still run in the root."""
    done = subprocess.run(["pgrep", "-f", "/usr/lib/bantam/bantam"], capture_output=True, text=True)
    inside = str(root.folder)
    return [pid for pid in done.stdout.split() if os.path.realpath(f"/proc/{pid}/root") == inside]
