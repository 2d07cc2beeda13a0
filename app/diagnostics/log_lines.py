"""What of a log may leave the computer: where in Bantam it happened, and never the words of a message.

A message of an exception may hold anything, a chat or a file's name among it. So lines are not cleaned but chosen:
only those of a known form pass, and of these only the parts that are Bantam's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from app.system.paths import RESOURCES

ELSEWHERE = "(elsewhere)"
_PROGRAM = RESOURCES.parent.as_posix()
_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+),? in ([\w.<>]+)')
_ENTRY = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) ([a-zA-Z_][\w.]*): ")
_FAULT = re.compile(r"^(?:Fatal Python error|Windows fatal exception): (?:[A-Z]?[a-z-]+ ?){1,4}$")
_THREAD = re.compile(r"^(?:Current thread|Thread) 0x[0-9a-f]+")
_TYPE = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Warning|Exit|Interrupt))(?::|$)")
_FIXED = frozenset(
    {
        "Traceback (most recent call last):",
        "During handling of the above exception, another exception occurred:",
        "The above exception was the direct cause of the following exception:",
    }
)


def safe_lines(lines: Iterable[str]) -> Iterator[str]:
    """Those lines of a log or a traceback that say where it happened, without messages and without the user's paths."""
    after_frame = False
    for line in lines:
        text = line.rstrip()
        safe = _safe(text, after_frame)
        after_frame = bool(_FRAME.match(text)) or (after_frame and text.startswith("    "))
        if safe:
            yield safe


def _safe(line: str, after_frame: bool) -> str:
    if line in _FIXED or _FAULT.match(line):
        return line
    if (frame := _FRAME.match(line)) is not None:
        return f"  {short_source(frame[1])}, line {frame[2]}, in {frame[3]}"
    if (thread := _THREAD.match(line)) is not None:
        return thread[0]
    if (entry := _ENTRY.match(line)) is not None:
        return f"{entry[1]} {entry[2]} {entry[3]}"
    kind = _TYPE.match(line) if after_frame else None  # elsewhere it would be a line of somebody's text
    return kind[1] if kind is not None else ""


def short_source(path: str) -> str:
    """A source file by its place in Bantam, in a package or in Python; any other is only "(elsewhere)"."""
    path = path.replace("\\", "/")
    if path.startswith("<frozen "):
        return path if re.fullmatch(r"<frozen [\w.]+>", path) else ELSEWHERE
    if PurePosixPath(path).suffix != ".py":
        return ELSEWHERE
    for marker in ("/site-packages/", "/dist-packages/"):
        if marker in path:
            return path.rpartition(marker)[2]
    if path.startswith(f"{_PROGRAM}/"):
        return path.removeprefix(f"{_PROGRAM}/")
    library = re.search(r"/[Ll]ib/python3\.\d+/([\w./]+)$", path)
    return f"python/{library[1]}" if library is not None else ELSEWHERE
