"""Which Python runs Bantam: the one that was started if it is suitable, otherwise one found on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterable, NamedTuple

from bootstrap.console import SetupError
from bootstrap.system_packages import Platform, venv_hint

OLDEST, NEWEST = (3, 11), (3, 13)
PREFERRED = ("python3.12", "python3.13", "python3.11", "python3", "python")
PROBE = """
import json, sys
from importlib.util import find_spec
complete = all(find_spec(name) for name in ("venv", "ensurepip", "ssl", "sqlite3", "ctypes"))
print(json.dumps([list(sys.version_info[:3]), complete, sys.maxsize > 2**32]))
"""


class Interpreter(NamedTuple):
    """A Python on this machine. `complete`: it has the modules that make environments."""

    path: str
    version: tuple[int, int, int]
    complete: bool
    is_64_bit: bool

    @property
    def suitable(self) -> bool:
        """Its version is one that Bantam's dependencies support."""
        return OLDEST <= self.version[:2] <= NEWEST and self.is_64_bit

    @property
    def label(self) -> str:
        """For sentences: `Python 3.12.1`."""
        return "Python " + ".".join(str(part) for part in self.version)


def probe(path: str) -> Interpreter | None:
    """Ask a Python what it is; None when it does not run (a shim without a version behind it, a broken link)."""
    try:
        answer = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, timeout=30)
        version, complete, is_64_bit = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Interpreter(path, tuple(version), complete, is_64_bit)


def candidates() -> Iterable[str]:
    """Places where a suitable Python may be, the one that runs now first."""
    yield sys.executable
    for name in PREFERRED:
        found = shutil.which(name)
        if found:
            yield found
    if sys.platform == "win32":
        programs = Path.home() / "AppData/Local/Programs/Python"
        patterns = [programs / f"Python3{minor}/python.exe" for minor in (12, 13, 11)]
        yield from (str(path) for path in patterns if path.exists())
    versions = Path.home() / ".pyenv/versions"
    for minor in (12, 13, 11):
        yield from (str(path) for path in sorted(versions.glob(f"3.{minor}.*/bin/python3"), reverse=True))


def choose(found: Iterable[Interpreter | None], platform: Platform) -> Interpreter:
    """The first that is suitable and complete. Raises SetupError, which tells a wrong version from a missing module."""
    seen = []
    for interpreter in found:
        if interpreter is None:
            continue
        if interpreter.suitable and interpreter.complete:
            return interpreter
        seen.append(interpreter)
    incomplete = next((one for one in seen if one.suitable), None)
    if incomplete:
        raise SetupError(
            f"{incomplete.label} at {incomplete.path} lacks modules that environments need (venv, ensurepip, sqlite3).",
            venv_hint(platform, incomplete.version[:2]),
        )
    known = ", ".join(sorted({one.label for one in seen})) or "none"
    raise SetupError(
        f"Bantam needs Python 3.11 to 3.13 (64 bits). Found here: {known}.",
        "Install Python 3.12 (from python.org or your system's packages), then run this again.",
    )


def find(platform: Platform) -> Interpreter:
    """Probe the candidates one after the other, no further than needed."""
    return choose((probe(path) for path in dict.fromkeys(candidates())), platform)
