"""Speed, time to first token and peak memory of a model, in a process of its own: the peak is that of a process.

It runs `bantam bench`, so that the figures are those of the same command and of a chat, and a crash in the first decode
is survived in the way a command's is.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from app.errors import AppError, Cancelled
from app.events import BenchResult, Progress, Report, ShouldStop, Stage
from app.fit.need import MemoryNeed
from app.paths import Paths
from app.requests import ThreadCounts

_POLL_S = 0.1
_ARGUMENTS = ("--prompt-tokens", "256", "--new-tokens", "64", "--context", "4096", "--json")


def measure_speed(path: Path, threads: int, paths: Paths, report: Report, stop: ShouldStop) -> BenchResult:
    """Measure the model at `path`; `threads` 0 as measured on this machine. Raises AppError, Cancelled."""
    report(Progress(Stage.MEASURE, 0, 1))
    program = [sys.executable, *([] if getattr(sys, "frozen", False) else ["-m", "app"])]
    command = [*program, "bench", str(path), "--threads", str(threads), *_ARGUMENTS]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(paths),
        encoding="utf-8",
        errors="replace",
    )
    try:
        output, errors = _wait(process, stop)
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        lines = errors.strip().splitlines()
        raise AppError(f"The speed could not be measured. {lines[-1] if lines else ''}".strip())
    report(Progress(Stage.MEASURE, 1, 1))
    return _result(json.loads(output), path)


def _environment(paths: Paths) -> dict[str, str]:
    environment = dict(os.environ)
    environment.pop("BANTAM_COMMAND_CHILD", None)  # set where this runs in a command's child already
    environment["BANTAM_HOME"] = str(paths.home)
    if not getattr(sys, "frozen", False):
        root = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
    return environment


def _wait(process: subprocess.Popen[str], stop: ShouldStop) -> tuple[str, str]:
    while True:
        if stop():
            raise Cancelled
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=_POLL_S)


def _end(process: subprocess.Popen[str]) -> None:
    """End the command and the child that it runs the model in."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.communicate()


def _result(found: dict[str, Any], path: Path) -> BenchResult:
    fields = found | {
        "path": path,
        "threads": ThreadCounts(**found["threads"]),
        "need": MemoryNeed(**found["need"]),
    }
    return BenchResult(**fields)
