"""The real child process of Bantam, driven over its pipe without a window: what the engine's benchmarks measure."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from app.engine.environment import engine_environment
from app.engine.messages import (
    AnswerStatistics,
    Generate,
    LoadModel,
    Message,
    ModelLoaded,
    OpenConversation,
    Role,
    Sampling,
    Token,
)
from app.operation import Event, Request
from app.system.paths import Paths
from workers.protocol import End, Line, Stop, decode, encode

ROOT = Path(__file__).resolve().parents[2]


class Child:
    """`python -m app --worker` with its data in `home`. Use it in a `with` block."""

    def __init__(self, home: Path, **environment: str) -> None:
        self._log_path = home / "child.log"
        Paths(home).ensure()  # the window does this before it starts its child
        self._log = self._log_path.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "--worker"],
            cwd=ROOT,
            env={**engine_environment(), **os.environ, "BANTAM_HOME": str(home), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self.ps = psutil.Process(self._process.pid)
        self._id = 0
        self._read()  # Hello

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End of stdin ends the child."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(10)
        self._log.close()

    def send(self, request: Request) -> None:
        """Ask; read the answer with `events`."""
        self._id += 1
        self._write(Line(self._id, request))

    def stop(self) -> None:
        """Stop the request that was sent last."""
        self._write(Line(self._id, Stop()))

    def events(self) -> Iterator[Event]:
        """What the request reports, until its end; the generator's value is the result. Raises on a failure."""
        while True:
            line = self._read()
            if line.end is None:
                yield line.value
            elif line.end is End.FAILED:
                raise RuntimeError(line.value)
            else:
                return line.value

    def ask(self, request: Request, on_event: Callable[[Event], None] = lambda event: None) -> Any:
        """The result of a request; None where it was stopped."""
        self.send(request)
        events = self.events()
        while True:
            try:
                on_event(next(events))
            except StopIteration as end:
                return end.value

    def load(self, model: Path, context_tokens: int = 4096) -> ModelLoaded:
        """Load with our defaults; the first load in a new home measures the thread counts."""
        loaded = self.ask(LoadModel(model, context_tokens=context_tokens, load_anyway=True))
        assert isinstance(loaded, ModelLoaded), loaded
        return loaded

    def answer(self, conversation: str, messages: tuple[Message, ...], tokens: int) -> tuple[str, AnswerStatistics]:
        """The answer's text and statistics, greedy."""
        told: list[Event] = []
        sampling = Sampling(temperature=0.0, max_tokens=tokens)
        self.ask(Generate(conversation, messages, sampling), told.append)
        answer = [event for event in told if isinstance(event, Token)]
        statistics = answer[-1].statistics
        assert statistics is not None
        return "".join(token.text for token in answer), statistics

    def open(self, conversation: str) -> Any:
        return self.ask(OpenConversation(conversation))

    def log(self) -> str:
        """stderr of the child so far: llama.cpp's log with BANTAM_NATIVE_LOG=1."""
        return self._log_path.read_text(errors="replace")

    def cpu_s(self) -> float:
        """CPU seconds used so far, by all its threads."""
        times = self.ps.cpu_times()
        return times.user + times.system

    def resident_bytes(self) -> int:
        return self.ps.memory_info().rss

    def _write(self, line: Line) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode(line))
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._death() from error

    def _read(self) -> Line:
        assert self._process.stdout is not None
        raw = self._process.stdout.readline()
        if not raw:
            raise self._death()
        return decode(raw)

    def _death(self) -> RuntimeError:
        return RuntimeError(f"The child ended ({self._process.wait(10)}):\n{self.log()[-2000:]}")


def user(text: str) -> Message:
    return Message(Role.USER, text)


def words(count: int, seed: int = 0) -> str:
    """Text of about two tokens a word in the made models, different for each seed."""
    return " ".join(f"ab{chr(97 + (i * 7 + seed) % 26)}" for i in range(count))


def settle(seconds: float = 1.0) -> None:
    """Let the machine come to rest between two measurements."""
    time.sleep(seconds)
