"""What a Linux bundle takes from the system: read from its native code, and said as a package's dependencies."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bootstrap import system_packages

from bundle.contents import shared_libraries
from bundle.layout import BuildError

_NEEDED = re.compile(r"^\s+NEEDED\s+(\S+)$", re.MULTILINE)
_VERSION = re.compile(r"\b(GLIBC|GLIBCXX)_(\d+(?:\.\d+)+)\b")
_OF_GLIBC = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libresolv.so.2")

DEBIAN = {library.soname: library.debian for library in
          (*system_packages.ALWAYS, *system_packages.X11, *system_packages.WAYLAND)} | {
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libGLX.so.0": "libglx0",
    "libOpenGL.so.0": "libopengl0",
    "libGLdispatch.so.0": "libglvnd0",
    "libGLESv2.so.2": "libgles2",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxcb.so.1": "libxcb1",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xinput.so.0": "libxcb-xinput0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libsystemd.so.0": "libsystemd0",
    "libwayland-egl.so.1": "libwayland-egl1",
    "libdrm.so.2": "libdrm2",
}  # fmt: skip
"""The Debian package of each library of the system. A later name of a package provides the one here."""

LOADED_BY_HAND = ("fontconfig-config", "xkb-data", "shared-mime-info", "hicolor-icon-theme")
"""Fonts and keyboards that the libraries read, and what makes a double-click on a .gguf find Bantam."""


@dataclass(frozen=True)
class Needs:
    """What native code takes from outside of its folder."""

    sonames: frozenset[str]
    glibc: tuple[int, ...]
    """The oldest version of the C library that it starts with."""


def parse(objdump: str) -> tuple[list[str], list[tuple[str, tuple[int, ...]]]]:
    """The libraries that a file needs, and the symbol versions, from the output of `objdump -p`."""
    references = objdump.partition("Version References:")[2]
    versions = [(kind, _version(number)) for kind, number in _VERSION.findall(references)]
    return _NEEDED.findall(objdump), versions


def needs_of(folder: Path) -> Needs:
    """What all native code below `folder` needs from the system."""
    inside = {path.name for path in folder.rglob("*")}
    wanted: set[str] = set()
    oldest: dict[str, tuple[int, ...]] = {}
    for path in (*shared_libraries(folder), *_programs(folder)):
        sonames, versions = parse(_objdump(path))
        wanted.update(sonames)
        for kind, number in versions:
            oldest[kind] = max(oldest.get(kind, ()), number)
    return Needs(frozenset(wanted - inside), oldest.get("GLIBC", ()))


def libraries_of(folder: Path) -> dict[str, list[str]]:
    """Each library below `folder` by its name, with what it needs."""
    return {path.name: parse(_objdump(path))[0] for path in shared_libraries(folder)}


def debian_dependencies(needs: Needs) -> list[str]:
    """The Depends of a Debian package. Raises BuildError where a library is not known: then nobody would install it."""
    others = {name for name in needs.sonames if not name.startswith("ld-linux") and name not in _OF_GLIBC}
    unknown = sorted(others - DEBIAN.keys())
    if unknown:
        raise BuildError(f"The bundle needs libraries that have no package in DEBIAN: {', '.join(unknown)}.")
    packages = {DEBIAN[name] for name in others} | set(LOADED_BY_HAND)
    return [f"libc6 (>= {'.'.join(map(str, needs.glibc))})", *sorted(packages)]


def _programs(folder: Path) -> Iterable[Path]:
    return (path for path in folder.iterdir() if path.is_file() and path.read_bytes()[:4] == b"\x7fELF")


def _objdump(path: Path) -> str:
    return subprocess.run(["objdump", "-p", str(path)], capture_output=True, text=True, check=True).stdout


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
