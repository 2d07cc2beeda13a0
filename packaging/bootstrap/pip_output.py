"""Run pip and turn what it prints into one short line of progress, and its failures into sentences."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Generator, Mapping

from bootstrap.console import ProgressLine, SetupError

TICK_S = 1.0
END_S = 5.0
FAILURES = (
    (
        r"No space left on device|Errno 28",
        "The disk is full.",
        "Make room (about 3 GB), then run this again.",
    ),
    (
        r"CMAKE_CXX_COMPILER|No CMAKE_C\w*_COMPILER|C\+\+ compiler.*(not found|cannot)|command 'g\+\+' failed",
        "The C++ compiler does not work.",
        "",
    ),
    (
        r"Killed signal terminated program|out of memory|virtual memory exhausted",
        "The compiler ran out of memory.",
        "Close other programs or set CMAKE_BUILD_PARALLEL_LEVEL=1, then run this again.",
    ),
    (
        r"Failed to establish a new connection|NameResolutionError|name resolution|Network is unreachable"
        r"|ProxyError|timed out|Connection (refused|reset)|No route to host",
        "The package index cannot be reached.",
        "Check the network connection, then run this again: it goes on where it stopped.",
    ),
    (
        r"Permission denied|Errno 13",
        "A file or folder cannot be written.",
        "See the lines above for which, then run this again.",
    ),
)


class PipOutput:
    """Follows pip's lines and says in a few words what is going on. A line without news gives None."""

    def __init__(self) -> None:
        self._download = ""

    def feed(self, line: str) -> str | None:
        """The words for one line of pip's output."""
        line = line.strip()
        for follow in (self._follow_build, self._follow_download, self._follow_step):
            words = follow(line)
            if words is not None:
                return words
        return None

    def _follow_build(self, line: str) -> str | None:
        match = re.match(r"\[(\d+)/(\d+)\] ", line)
        return f"compiling [{match.group(1)}/{match.group(2)}]" if match else None

    def _follow_download(self, line: str) -> str | None:
        match = re.match(r"(?:Downloading|Using cached) (\S+?)(?: \(([^)]*)\))?$", line)
        if match and not match.group(1).endswith(".metadata"):
            name = match.group(1).rsplit("/", 1)[-1].split("-")[0]
            self._download = f"downloading {name}" + (f" ({match.group(2)})" if match.group(2) else "")
            return self._download
        match = re.match(r"Progress (\d+) of (\d+)$", line)
        if match and self._download and int(match.group(2)):
            return f"{self._download} {100 * int(match.group(1)) // int(match.group(2))}%"
        return None

    def _follow_step(self, line: str) -> str | None:
        match = re.match(r"Collecting ([A-Za-z0-9._-]+)", line)
        if match:
            return f"looking up {match.group(1)}"
        match = re.match(r"(?:Building|Created) wheel for ([A-Za-z0-9._-]+)", line)
        if match:
            return f"building {match.group(1)}"
        if line.startswith("Installing build dependencies"):
            return "fetching build tools"
        return "unpacking into .venv" if line.startswith("Installing collected packages") else None


def run_pip(command: list[str], environment: Mapping[str, str], log: Path) -> None:
    """Run pip with progress; all it prints goes to `log`. Raises SetupError with the likely cause."""
    output = PipOutput()
    with log.open("a", encoding="utf-8") as record, ProgressLine() as progress:
        record.write(f"\n$ {' '.join(command)}\n")
        tail: list[str] = []
        process = _start(command, environment)
        with closing(_lines(process)) as lines:
            for line in lines:
                if line and not line.startswith("Progress "):
                    record.write(line)
                    tail = [*tail[-400:], line]
                words = output.feed(line) if line else None
                progress.show(words) if words else progress.tick()
    if process.returncode:
        raise explain_failure("".join(tail), log)


def explain_failure(text: str, log: Path) -> SetupError:
    """The end of pip's output as a sentence, with the lines that matter and what to do."""
    # pip repeats the reason at the end; retries that went well in the end stand before it.
    end = text[-20000:]
    for pattern, sentence, hint in FAILURES:
        if re.search(pattern, end, re.IGNORECASE):
            return SetupError(f"{sentence} Everything that was said is in {log}.", hint)
    errors = [line.strip() for line in end.splitlines() if re.search(r"error|fatal", line, re.IGNORECASE)]
    said = "\n  ".join(errors[-8:] or end.splitlines()[-8:])
    return SetupError(f"The installation failed:\n  {said}\nEverything that was said is in {log}.", "")


def _start(command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # the compilers that pip starts can then be ended together with it
    )


def _end(process: subprocess.Popen[str]) -> None:
    """End pip and what it started; it is asked first, since it then removes its temporary folders."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True)
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
        os.killpg(process.pid, signal.SIGKILL)


def _lines(process: subprocess.Popen[str]) -> Generator[str | None, None, None]:
    """Each line as it comes; None when a second passed without one. Ends with the process, also when we are stopped."""
    lines: queue.Queue[str | None] = queue.Queue()
    assert process.stdout is not None
    source = process.stdout

    def read() -> None:
        for line in source:
            lines.put(line)
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while True:
            try:
                line = lines.get(timeout=TICK_S)
            except queue.Empty:
                yield None
                continue
            if line is None:
                break
            yield line
    except BaseException:  # also GeneratorExit: whoever reads the lines was stopped
        _end(process)
        raise
    finally:
        reader.join()
        source.close()
        process.wait()
