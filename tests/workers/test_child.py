"""The child's side of the pipe, without Qt: plain pipes and the child's own loop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.engine.messages import CountTokens, LoadModel, Message, Role, Token
from tests.workers.conftest import MISBEHAVING, ask
from workers.process import worker_command
from workers.protocol import End, Hello, Line, Stop, decode, encode

WAIT_S = 20


class Pipe:
    """A child behind plain pipes."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )

    def say(self, *lines: Line) -> None:
        self.process.stdin.write(b"".join(encode(line) for line in lines))

    def hear(self) -> Line:
        return decode(self.process.stdout.readline())

    def hear_until(self, wanted: Callable[[Line], bool]) -> Line:
        return next(line for line in iter(self.hear, None) if wanted(line))

    def hear_end(self, number: int) -> Line:
        return self.hear_until(lambda line: line.id == number and line.end is not None)


@pytest.fixture
def start() -> Iterator[Callable[..., Pipe]]:
    pipes: list[Pipe] = []

    def start(command: tuple[str, ...] = MISBEHAVING) -> Pipe:
        pipes.append(Pipe(command))
        return pipes[-1]

    yield start
    for pipe in pipes:
        pipe.process.kill()
        pipe.process.wait()
        for stream in (pipe.process.stdin, pipe.process.stdout, pipe.process.stderr):
            stream.close()


def test_end_of_input_ends_it_even_in_the_middle_of_something(start: Callable[..., Pipe]) -> None:
    pipe = start()
    pipe.say(Line(1, ask("ignore stop")))
    pipe.hear_until(lambda line: isinstance(line.value, Token))
    pipe.process.stdin.close()
    assert pipe.process.wait(WAIT_S) == 0


def test_a_window_that_no_longer_listens_ends_it(start: Callable[..., Pipe]) -> None:
    pipe = start()
    pipe.say(Line(1, ask("flood 50000")))
    pipe.hear()
    pipe.process.stdout.close()
    assert pipe.process.wait(WAIT_S) == 0


def test_a_stop_reaches_the_request_it_names_also_while_that_waits(start: Callable[..., Pipe]) -> None:
    pipe = start()
    pipe.say(Line(1, ask("hang")), Line(2, ask("finish")), Line(3, ask("finish")))
    pipe.hear_until(lambda line: isinstance(line.value, Token))
    pipe.say(Line(2, Stop()), Line(1, Stop()))
    assert [pipe.hear_end(number).end for number in (1, 2, 3)] == [End.RESULT, End.CANCELLED, End.RESULT]


def test_a_stop_that_comes_too_late_means_nothing(start: Callable[..., Pipe]) -> None:
    pipe = start()
    pipe.say(Line(1, ask("finish")))
    pipe.hear_end(1)
    pipe.say(Line(1, Stop()), Line(2, ask("finish")))
    assert pipe.hear_end(2).end is End.RESULT


def test_what_is_no_request_is_passed_over(start: Callable[..., Pipe]) -> None:
    pipe = start()
    pipe.process.stdin.write(b"hello?\n{}\n\xff\n")
    pipe.say(Line(1, CountTokens(())))
    assert pipe.hear_end(1).end is End.RESULT


def test_the_real_child_greets_and_refuses_what_it_cannot_do(start: Callable[..., Pipe]) -> None:
    pipe = start(worker_command())
    assert pipe.hear().value == Hello(pipe.process.pid)
    pipe.say(Line(1, ask("anything")), Line(2, Message(Role.USER, "no request")))
    assert pipe.hear_end(1).value.sentence == "No model is loaded."
    assert "does not know" in pipe.hear_end(2).value.sentence
    pipe.process.stdin.close()
    assert pipe.process.wait(WAIT_S) == 0


def test_the_real_child_says_what_is_wrong_with_a_file(start: Callable[..., Pipe], tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("this is no model")
    pipe = start(worker_command())
    pipe.say(Line(1, LoadModel(tmp_path / "text.gguf")))
    end = pipe.hear_end(1)
    assert end.end is End.FAILED
    assert end.value.details == ""  # an error told on purpose, not a bug


def test_the_child_knows_no_qt() -> None:
    code = """
import sys
sys.modules["PySide6"] = None
import workers.child, app.operations, workers.protocol, workers.engine.queue
import app.system.process_outcome
assert "llama_cpp" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
