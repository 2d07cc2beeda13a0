"""Where the parts of a build lie, and what they are called."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGING = PROJECT / "packaging"
WORK = PROJECT / "build" / "bundle"
"""Everything that a build makes on the way; deleting it makes the next build a whole one."""

VENV = WORK / "venv"
ENGINE = WORK / "engine"
ICONS = WORK / "icons"
FROZEN = WORK / "frozen"
"""PyInstaller's folder; the program is in `FROZEN / "bantam"`."""

PROGRAM = FROZEN / "bantam"
TORCH = WORK / "torch-packages"
DIST = PROJECT / "dist"
LICENCES = "licences.txt"

_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
_DEBIAN = {"x86_64": "amd64", "arm64": "arm64"}


class BuildError(Exception):
    """The sentence that ends a build."""


def version() -> str:
    """Bantam's version, read and not imported."""
    text = (PROJECT / "app" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    assert found is not None
    return found[1]


def system() -> str:
    """The system that this build is for, which is the one it runs on."""
    return {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)


def machine() -> str:
    """x86_64 or arm64."""
    name = platform.machine().lower()
    return _MACHINES.get(name, name)


def debian_architecture() -> str:
    """The same as Debian calls it."""
    return _DEBIAN.get(machine(), machine())


def name_of(package: str) -> str:
    """The stem of what a build of this package is called: bantam-0.1.0-linux-x86_64."""
    return f"{package}-{version()}-{system()}-{machine()}"


def venv_python() -> Path:
    """The build environment's Python."""
    return VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def say(text: str) -> None:
    """One line of progress."""
    print(text, flush=True)
