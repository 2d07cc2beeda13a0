"""pip's output becomes progress; its failures become sentences. The lines are pip's own."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import psutil
import pytest
from bootstrap import pip_output
from bootstrap.console import ProgressLine, SetupError, minutes
from bootstrap.pip_output import PipOutput, explain_failure, run_pip

RUN = [sys.executable, "-c"]


def test_progress_in_words() -> None:
    output = PipOutput()
    said = [
        output.feed(line)
        for line in (
            "Collecting scikit-build-core>=0.9.2 (from scikit-build-core[pyproject]>=0.9.2)",
            "  Downloading torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl (200.1 MB)",
            "Progress 0 of 209820000",
            "Progress 104910000 of 209820000",
            "  Downloading anyio-4.16.0-py3-none-any.whl.metadata (4.7 kB)",
            "  [36/193] /usr/bin/g++ -DGGML_BACKEND_SHARED -o llama.o -c llama.cpp",
            "  Building wheel for llama-cpp-python (pyproject.toml): started",
            "Installing collected packages: MarkupSafe, numpy",
            "Requirement already satisfied: numpy>=1.20.0",
        )
    ]
    assert said == [
        "looking up scikit-build-core",
        "downloading torch (200.1 MB)",
        "downloading torch (200.1 MB) 0%",
        "downloading torch (200.1 MB) 50%",
        None,
        "compiling [36/193]",
        "building llama-cpp-python",
        "unpacking into .venv",
        None,
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "The disk is full"),
        ("NewConnectionError('Failed to establish a new connection: [Errno -2] Name or service not known')", "reached"),
        ("CMake Error: No CMAKE_CXX_COMPILER could be found.", "compiler does not work"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "ran out of memory"),
        ("error: [Errno 13] Permission denied: '/opt/x'", "cannot be written"),
        ("ERROR: Ignored\nerror: subprocess-exited-with-error\nsomething new", "error: subprocess-exited-with-error"),
    ],
)
def test_a_failure_is_a_sentence_and_names_the_log(text: str, sentence: str) -> None:
    error = explain_failure(text, Path("setup.log"))
    assert sentence in str(error)
    assert "setup.log" in str(error)


def test_what_pip_says_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "setup.log"
    run_pip([*RUN, "print('Collecting psutil'); print('Progress 1 of 2')"], os.environ, log)
    lines = log.read_text("utf-8").splitlines()
    assert "Collecting psutil" in lines
    assert "Progress 1 of 2" not in lines


def test_a_failing_run_raises(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="The disk is full"):
        run_pip([*RUN, "print('No space left on device'); raise SystemExit(1)"], os.environ, tmp_path / "setup.log")


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")
def test_stopping_ends_the_compilers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: ProgressLine, text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgressLine, "show", stop)
    monkeypatch.setattr(
        pip_output, "END_S", 0.2
    )  # where this suite was started with Ctrl+C ignored, it goes on to kill
    number = tmp_path / "compiler.pid"
    script = f"""
import pathlib, subprocess, sys
waits = [sys.executable, "-c", "input()"]
compiler = subprocess.Popen(waits, stdin=subprocess.PIPE)
pathlib.Path({str(number)!r}).write_text(str(compiler.pid))
print("[1/193] g++", flush=True)
compiler.wait()
"""
    with pytest.raises(KeyboardInterrupt):
        run_pip([*RUN, script], os.environ, tmp_path / "setup.log")
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(number.read_text())).wait(5)  # raises TimeoutExpired if it lives on


def test_elsewhere_than_on_a_terminal_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("bootstrap.console.time.monotonic", lambda: now[0])
    with ProgressLine(is_terminal=False) as progress:
        for second in range(25):
            now[0] = float(second)
            progress.show(f"compiling [{second}/193]")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["      compiling [11/193] (11 s)", "      compiling [22/193] (22 s)"]


def test_on_a_terminal_one_line_is_rewritten(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(is_terminal=True) as progress:
        progress.show("downloading something long")
        progress.show("done")
    out = capsys.readouterr().out
    assert "\n" not in out
    assert out.endswith("\r")


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (303, "5 min 03 s")])
def test_minutes(seconds: float, words: str) -> None:
    assert minutes(seconds) == words
