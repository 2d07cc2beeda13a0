"""What a report may say: versions, machine, settings, where it failed. No token, no chat, no name but a model's.

Nothing is taken over as a whole: each line is made here, and of the logs only what `log_lines` lets pass.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath

import platformdirs

from app.diagnostics.about import components, cpu_features
from app.diagnostics.last_run import BadEnd, last_crash_log
from app.engine.machine_record import read_record
from app.settings import Settings, load_settings
from app.system.hardware import available_memory_bytes, cpu_name, physical_cores, total_memory_bytes, usable_cores
from app.system.paths import RESOURCES, Paths

_LOG_LINES = 60
_TOKEN = re.compile(r"\bhf_\w{6,}|\b(?:Bearer|token)[ :=]+\S{8,}", re.IGNORECASE)
_SESSION = ("XDG_SESSION_TYPE", "XDG_CURRENT_DESKTOP")


def diagnostics(paths: Paths, shown: Mapping[str, str] | None = None) -> str:
    """The text for "Copy diagnostics". `shown` are lines that only the window knows: its platform, scale, the model's
    name.
    """
    facts = [*_about_program(), *_about_machine(), *_about_data(paths), *(shown or {}).items()]
    return _put_together("Bantam, diagnostics", facts, _window_log(paths))


def crash_report(paths: Paths, bad_end: BadEnd) -> str:
    """The text for "Copy report" after an end that was not in order."""
    facts = [("What happened", bad_end.sentence), ("Version that ran", bad_end.version or "not known")]
    lines = ["Where it stood:", *_lines(last_crash_log(paths)), *_window_log(paths)]
    return _put_together("Bantam, report of a crash", [*facts, *_about_program(), *_about_machine()], lines)


def without_private(text: str) -> str:
    """The last look: the home folder is "~", and the user's name and anything like a token is not there."""
    text = _TOKEN.sub("(token)", text)
    home = str(Path.home())
    if len(home) > 1:
        text = text.replace(home, "~")
    for name in sorted(_user_names(), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "(user)", text, flags=re.IGNORECASE)
    return text


def _put_together(title: str, facts: Iterable[tuple[str, str]], lines: Iterable[str]) -> str:
    told = [f"{name}: {value}" for name, value in facts]
    return without_private("\n".join((title, "", *told, "", *lines)).strip() + "\n")


def _about_program() -> list[tuple[str, str]]:
    return [(one.name, one.version) for one in components()]


def _about_machine() -> list[tuple[str, str]]:
    session = " ".join(word for name in _SESSION if re.fullmatch(r"[\w:-]{1,40}", word := os.environ.get(name, "")))
    memory = f"{total_memory_bytes() / 1e9:.1f} GB, {available_memory_bytes() / 1e9:.1f} GB available"
    return [
        ("System", f"{_system()}, {platform.machine()}"),
        ("Desktop", session or "not known"),
        ("Processor", cpu_name()),
        ("Instruction sets", ", ".join(cpu_features()) or "not known"),
        ("Cores", f"{physical_cores()} ({usable_cores()} with hyper-threads, usable)"),
        ("Memory", memory),
    ]


def _about_data(paths: Paths) -> list[tuple[str, str]]:
    usual = Path(platformdirs.user_data_dir("Bantam", appauthor=False))
    record = read_record(paths.machine)
    threads = (f"{name}: {one.counts.decode}/{one.counts.prefill}" for name, one in record.threads.items())
    return [
        ("Data folder", str(usual) if paths.home == usual else "moved with BANTAM_HOME"),
        ("Settings changed", ", ".join(_changed(load_settings(paths.settings))) or "none"),
        ("Safe mode", "yes" if record.safe_mode_reason else "no"),
        ("Kernels that ran", ", ".join(record.verified) or "none yet"),
        ("Threads measured", "; ".join(threads) or "none yet"),
    ]


def _changed(settings: Settings) -> list[str]:
    """Values of numbers and words of the program's own; of paths and addresses only that there are some."""
    usual, told = Settings(), []
    for f in dataclasses.fields(Settings):
        value = getattr(settings, f.name)
        if value == getattr(usual, f.name):
            continue
        if isinstance(value, (bool, int, float, StrEnum)):
            told.append(f"{f.name}={value}")
        else:
            told.append(f"{f.name} ({len(value)})" if isinstance(value, tuple) else f"{f.name} (set)")
    return told


def _system() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        name = ""
    return f"{name or platform.system()} ({platform.system()} {platform.release()})"


def _window_log(paths: Paths) -> list[str]:
    lines = _lines(paths.window_log)
    return ["Last lines of the log, without messages:", *lines] if lines else ["The log is empty."]


def _lines(path: Path) -> list[str]:
    """The last lines of a log that may be told."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return list(deque(safe_lines(file), maxlen=_LOG_LINES))
    except OSError:
        return []


def _user_names() -> set[str]:
    """The names by which the system knows the user. Names of fewer than three letters would be found inside other
    words' places.
    """
    names = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME")} | {Path.home().name}
    return {name for name in names if len(name) >= 3}


# What of a log may leave the computer: where in Bantam it happened, and never the words of a message.
#
# A message of an exception may hold anything, a chat or a file's name among it. So lines are not cleaned but chosen:
# only those of a known form pass, and of these only the parts that are Bantam's own.


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
