"""The project's own environment, `.venv`: where its Python is, what is in it, and whether it is up to date."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterable

from bootstrap.console import SetupError
from bootstrap.interpreter import Interpreter, probe

LIST_INSTALLED = """
import json, re
from importlib.metadata import distributions
name = lambda one: re.sub("[-_.]+", "-", one.metadata["Name"] or "").lower()
print(json.dumps({name(one): one.version for one in distributions()}))
"""


class Environment:
    """A folder made by `python -m venv`, with a stamp that says which set-up it completed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        scripts = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
        self.python = folder / scripts
        self.log = folder / "setup.log"
        self._stamp = folder / "bantam-setup.json"

    def is_current(self, fingerprint: str, extras: Iterable[str]) -> bool:
        """Whether a set-up like this, with at least these extras, was completed here, and its Python is there."""
        stamp = self._read_stamp()
        return (
            stamp.get("fingerprint") == fingerprint
            and set(extras) <= set(stamp.get("extras", []))
            and stamp.get("python") == self._version()
            and self.python.exists()
        )

    def extras(self) -> set[str]:
        """The extras of the last completed set-up; they are kept by the next one."""
        return set(self._read_stamp().get("extras", []))

    def mark_incomplete(self, extras: Iterable[str]) -> None:
        """From here until `mark_complete` a break leaves an environment that the next start goes on with."""
        self._write_stamp({"extras": sorted(extras)})

    def mark_complete(self, fingerprint: str, extras: Iterable[str]) -> None:
        """Record what is installed now, so that the next start has nothing to do."""
        self._write_stamp({"fingerprint": fingerprint, "extras": sorted(extras), "python": self._version()})

    def is_usable(self) -> bool:
        """Whether its Python runs and is one that Bantam supports."""
        interpreter = probe(str(self.python)) if self.python.exists() else None
        return interpreter is not None and interpreter.suitable

    def make(self, interpreter: Interpreter) -> None:
        """Make it, clearing a broken one. Raises SetupError where the folder is something else, or Python cannot."""
        if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / "pyvenv.cfg").exists():
            raise SetupError(f"{self.folder} is not a Python environment.", "Move it away, then run this again.")
        made = self._run([interpreter.path, "-m", "venv", "--clear", str(self.folder)])
        if made.returncode:
            said = (made.stdout + made.stderr).strip()
            raise SetupError(f"{interpreter.label} could not make {self.folder}: {said}", "Read the reason above.")

    def installed(self) -> dict[str, str]:
        """Names (normalised) and versions of what is installed."""
        answer = self._run([str(self.python), "-c", LIST_INSTALLED])
        packages: dict[str, str] = json.loads(answer.stdout) if answer.returncode == 0 else {}
        return packages

    def ensure_pip(self) -> None:
        """Put pip back into an environment whose making was interrupted."""
        restored = self._run([str(self.python), "-m", "ensurepip", "--upgrade"])
        if restored.returncode:
            raise SetupError(f"pip is missing from {self.folder}.", f"Delete {self.folder}, then run this again.")

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, env=clean_environment())

    def _version(self) -> str:
        try:
            lines = (self.folder / "pyvenv.cfg").read_text("utf-8").splitlines()
        except OSError:
            return ""
        return next((line.partition("=")[2].strip() for line in lines if line.startswith("version")), "")

    def _read_stamp(self) -> dict[str, Any]:
        try:
            stamp = json.loads(self._stamp.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def _write_stamp(self, stamp: dict[str, object]) -> None:
        part = self._stamp.with_suffix(".part")
        part.write_text(json.dumps(stamp, indent=1), "utf-8")
        part.replace(self._stamp)


def clean_environment() -> dict[str, str]:
    """This process's variables without those that would make another Python load this one's modules."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}


def fingerprint(project: Path) -> str:
    """What decides whether an installation is up to date: dependencies, pins, packages, and where the project lies.

    The settings of linters and tests in pyproject.toml do not count: changing them installs nothing.
    """
    import tomllib  # here, because an older Python imports this module before it looks for a newer one

    settings = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    relevant = [settings["build-system"], settings["project"], settings["tool"].get("setuptools"), str(project)]
    digest = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode())
    for name in ("constraints.txt", "build-constraints.txt"):
        digest.update((project / "packaging" / name).read_bytes())
    return digest.hexdigest()
