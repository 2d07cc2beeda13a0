"""Takes out of a collected Linux program what nothing in it opens, what is in it twice, and debugging symbols.

PyInstaller collects the libraries of all files that it finds before we can say which of the files stay out.
"""

from __future__ import annotations

import filecmp
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from bundle.contents import shared_libraries
from bundle.system_libraries import libraries_of


def trim(program: Path) -> None:
    """Do all of it in the folder that PyInstaller has made."""
    strip_debug(program)
    link_copies(program / "_internal" / "llama_cpp" / "lib")
    needed_of = libraries_of(program)
    collected = {path.name for path in (program / "_internal").iterdir()}
    # What lies deeper is imported or opened by its path; what is on top is there because something needed it.
    roots = [name for name in needed_of if name not in collected or name.startswith("libpython")]
    gone = unreachable(needed_of, roots)
    for path in sorted(program.rglob("*")):
        if path.name in gone:
            path.unlink()


def strip_debug(program: Path) -> None:
    """Take the debugging symbols out of Python's library; builds other than a distribution's have 17 MB of them."""
    for library in (program / "_internal").glob("libpython*.so*"):
        subprocess.run(["strip", "--strip-debug", str(library)], check=True)


def unreachable(needed_of: Mapping[str, Iterable[str]], roots: Iterable[str]) -> set[str]:
    """Of libraries (name, and the names that each needs) those that no root leads to."""
    waiting = list(roots)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in needed_of and name not in seen:
            seen.add(name)
            waiting.extend(needed_of[name])
    return set(needed_of) - seen


def link_copies(folder: Path) -> None:
    """Of a library that is there under several names (libx.so, libx.so.0, libx.so.0.25.3) keep one file.

    A wheel cannot hold links. Beside the room, two files of one library would be loaded as two libraries.
    """
    kept: dict[str, Path] = {}
    for path in sorted(shared_libraries(folder), key=lambda path: len(path.name)):
        stem = path.name.partition(".so")[0]
        first = kept.setdefault(stem, path)
        if first != path and filecmp.cmp(first, path, shallow=False):
            path.unlink()
            path.symlink_to(first.name)
