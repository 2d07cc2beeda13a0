"""Speed, time to first token and peak memory of a model, in a process of its own: the peak is that of a process.

It is `bantam measure --only-speed`, which measures through the code of `bantam bench`: the figures are those of a chat,
and a crash in the first decode is survived in the way a command's is. It ends when the process that asked for it does,
however that ends: it reads from a pipe whose other end dies with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import psutil

from app.engine.messages import Bench, BenchResult, LoadModel, MemoryNeed, ThreadCounts, TooLarge
from app.errors import AppError, Cancelled
from app.operation import Context, Progress, Report, ShouldStop, Stage, StopFlag
from app.system.frozen import is_frozen, program
from app.system.paths import Paths

_POLL_S = 0.1
_ENDS_WITH_STDIN = "BANTAM_ENDS_WITH_STDIN"
_CONTEXT_TOKENS = 4096
_PROMPT_TOKENS = 256
_NEW_TOKENS = 64


def measure_speed(path: Path, threads: int, paths: Paths, report: Report, stop: ShouldStop) -> BenchResult:
    """Measure the model at `path`; `threads` 0 as measured on this machine. Raises AppError, Cancelled."""
    report(Progress(Stage.MEASURE, 0, 1))
    process, lifeline = start(path, threads, paths)
    try:
        output, errors = _wait(process, stop)
    except BaseException:
        _end(process)
        raise
    finally:
        os.close(lifeline)
    if process.returncode:
        lines = errors.strip().splitlines()
        raise AppError(f"The speed could not be measured. {lines[-1] if lines else ''}".strip())
    report(Progress(Stage.MEASURE, 1, 1))
    return _result(json.loads(output), path)


def start(path: Path, threads: int, paths: Paths) -> tuple[subprocess.Popen[str], int]:
    """The process, and the file descriptor that ends it when it is closed, by hand or with this process."""
    command = [*program(), "measure", str(path), "--only-speed", "--json", "--threads", str(threads)]
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            stdin=reading,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(paths),
            encoding="utf-8",
            errors="replace",
        )
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    return process, writing


def measure_speed_here(path: Path, threads: int, paths: Paths, report: Report, stop: StopFlag) -> BenchResult:
    """The same in this process, which should do nothing else. Raises AppError, Cancelled."""
    from app.engine.bench import bench

    if ends_with_parent():
        threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
    load = LoadModel(path, _CONTEXT_TOKENS, threads=ThreadCounts(threads, threads), kv_disk_limit_bytes=0)
    result = bench(Bench(load, _PROMPT_TOKENS, _NEW_TOKENS), Context(paths=paths, report=report, stop=stop))
    if isinstance(result, TooLarge):
        raise AppError(result.sentence, "Close other programs.")
    return result


def ends_with_parent() -> bool:
    """Whether this process was started by `start`, as one step of a measurement."""
    return bool(os.environ.get(_ENDS_WITH_STDIN))


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)  # a plain exit would wait for native code


def _environment(paths: Paths) -> dict[str, str]:
    environment = dict(os.environ)
    environment.pop("BANTAM_COMMAND_CHILD", None)  # set where this runs in a command's child already
    environment["BANTAM_HOME"] = str(paths.home)
    environment[_ENDS_WITH_STDIN] = "1"
    if not is_frozen():
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
