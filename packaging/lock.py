"""Write packaging/constraints.txt: the exact version of everything that Bantam and its extras need, also indirectly.

    .venv/bin/python packaging/lock.py

Takes the versions that are installed in the environment it runs in. A pin of a package that some system does not need
does nothing there, so one file serves all systems.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

CONSTRAINTS = Path(__file__).with_name("constraints.txt")
EXTRAS = ("", "test", "dev")
TOOLS = ("pip", "setuptools")
ELSEWHERE = ("colorama", "pywin32-ctypes")  # needed on Windows only, by terminal output and by keyring
HEADER = """\
# Exact versions of everything that is installed, for every system. Made by packaging/lock.py: do not edit.
"""


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(installed: dict[str, Distribution], name: str, extras: tuple[str, ...], seen: set[tuple[str, str]]) -> None:
    """Add to `seen` each (package, extra) that `name` with `extras` leads to here."""
    for extra in extras or ("",):
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in installed[name].requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                needed(installed, normal(requirement.name), ("", *sorted(requirement.extras)), seen)


def main() -> int:
    """Write the file. Returns the exit code."""
    installed = {normal(one.metadata["Name"]): one for one in distributions()}
    seen: set[tuple[str, str]] = set()
    needed(installed, "bantam", EXTRAS, seen)
    names = ({name for name, _ in seen} | {*TOOLS, *ELSEWHERE}) - {"bantam"}
    lines = [f"{name}=={installed[name].version.partition('+')[0]}" for name in sorted(names)]
    CONSTRAINTS.write_text(HEADER + "\n".join(lines) + "\n", "utf-8")
    print(f"{len(lines)} pins in {CONSTRAINTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
