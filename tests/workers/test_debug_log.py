"""`--debug`: one file says what the processes asked of each other, and holds nothing that the user wrote."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.diagnostics import debug_log
from app.diagnostics.debug_log import open_debug_log
from app.engine.messages import Generate, LoadModel, Message, Role, Sampling, ThreadCounts
from app.system.paths import RESOURCES, STARTER_MODEL, Paths
from tests.workers.conftest import Heard, ask
from workers.engine.client import ChatEngine
from workers.jobs import Job, JobQueue

SECRET = "my secret plan for the garden"


@pytest.fixture
def debugging(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `--debug` does in the window's process; its children find it in their environment."""
    monkeypatch.setenv("BANTAM_DEBUG", "1")
    log = open_debug_log(paths)
    yield
    log.close()


def written(paths: Paths) -> str:
    return paths.debug_log.read_text("utf-8") if paths.debug_log.exists() else ""


def converse(heard: Heard, question: str) -> None:
    heard.loaded()
    heard.engine.generate(ask(question))
    heard.wait_for("answer_ended")
    heard.engine.close()


def test_it_says_what_was_asked_and_how_it_ended(debugging: None, heard: Heard, paths: Paths) -> None:
    converse(heard, "finish")
    text = written(paths)
    pid = next(line for line in text.splitlines() if line.endswith(" started")).split()[-2]
    assert f"child {pid} is asked 1 LoadModel" in text
    assert f"child {pid} says of 2: result" in text
    assert " Token" in text, "events are counted"
    assert text.count("Token") == 1, "and not listed"
    assert f"child {pid}: stopped, code 0" in text
    assert "engine: generating" in text


def test_a_prompt_an_answer_and_a_name_of_a_file_never_stand_in_it(
    debugging: None, heard: Heard, paths: Paths, tmp_path: Path
) -> None:
    heard.engine.load(LoadModel(tmp_path / SECRET / "finish.gguf"))
    heard.wait_for_state("ready")
    heard.engine.generate(ask(SECRET))
    heard.wait_for("answer_ended")
    heard.engine.generate(Generate(SECRET, (Message(Role.SYSTEM, SECRET), Message(Role.USER, "raise"))))
    heard.wait_for("answer_ended", 2)
    heard.engine.close()
    text = written(paths)
    assert text.count("Generate") == 3
    assert "failed by a fault\nTraceback" in text
    assert not any(word in text for word in ("secret", "garden", tmp_path.name))


def test_a_prompt_in_it_would_be_found(debugging: None, heard: Heard, paths: Paths) -> None:
    """The control of the test above: what somebody logs by mistake does arrive in this file."""
    heard.engine.prompt_ready.connect(lambda _: logging.getLogger("workers.careless").debug("asked: %s", SECRET))
    converse(heard, SECRET)
    assert SECRET in written(paths)


def test_without_it_nothing_is_written(heard: Heard, paths: Paths) -> None:
    converse(heard, "finish")
    assert not paths.debug_log.exists()
    assert not logging.getLogger("workers.process").isEnabledFor(logging.DEBUG)


def test_the_real_child_answers_and_writes_no_text(
    debugging: None, make_engine: Callable[..., ChatEngine], paths: Paths, qtbot: object
) -> None:
    heard = Heard(make_engine(None), qtbot)
    heard.engine.load(LoadModel(STARTER_MODEL, context_tokens=2048, threads=ThreadCounts(1, 1)))
    heard.wait_for_state("ready")
    heard.engine.generate(Generate("one", (Message(Role.USER, SECRET),), Sampling(temperature=0, max_tokens=4)))
    heard.wait_for("answer_ended")
    heard.engine.close()
    text = written(paths)
    assert "Generate" in text
    assert "secret" not in text
    assert heard.text.strip() not in text


def test_a_job_tells_its_states(debugging: None, paths: Paths, qtbot: object) -> None:
    queue = JobQueue(paths)
    request = LoadModel(Path("/secret/garden.gguf"))
    with qtbot.waitSignal(queue.ended, timeout=20_000):
        queue.add(Job("a secret job", (request,)))
    queue.close()
    text = written(paths)
    states = [line.split("job 1: ")[1].split(",")[0] for line in text.splitlines() if "job 1: " in line]
    assert states == ["queued", "running", "failed"]
    assert "secret" not in text
    assert "garden" not in text


def test_of_an_exception_it_keeps_where_it_was_and_leaves_the_window_log_its_message(
    debugging: None, paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("ui.errors").error("not caught", exc_info=True)
    text = written(paths)
    assert "not caught\nTraceback (most recent call last):" in text
    assert "ValueError" in text
    assert "secret" not in text
    assert SECRET in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_only_the_user_may_read_it_and_its_size_is_bounded(
    debugging: None, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2 * debug_log.MOST_BYTES // 10_000):
        logging.getLogger("workers.process").debug("%d %s", number, "x" * 10_000)
    files = sorted(paths.logs.glob("debug.log*"))
    assert [file.name for file in files] == ["debug.log", "debug.log.1"]
    assert all(file.stat().st_size <= debug_log.MOST_BYTES for file in files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_disk_that_takes_nothing_stops_nobody(debugging: None, paths: Paths) -> None:
    paths.debug_log.mkdir(parents=True)
    logging.getLogger("workers.process").debug("to nowhere")
    assert paths.debug_log.is_dir()


def bantam(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.run(command, cwd=RESOURCES.parent, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("before", [True, False])
def test_a_command_with_its_child_writes_it_too(paths: Paths, before: bool) -> None:
    words = ["chat", "--prompt", SECRET, "--temperature", "0", "--json"]
    done = bantam(*(["--debug", *words] if before else [*words, "--debug"]))
    text = written(paths)
    assert json.loads(done.stdout)["answer"]
    assert str(paths.debug_log) in done.stderr
    assert text.count("app.cli: command chat") == 4, "the one that waits and its child, begin and end"
    assert "ended with code 0" in text
    assert "secret" not in text


def test_a_command_without_it_writes_nothing(paths: Paths) -> None:
    assert bantam("models").returncode == 0
    assert not paths.debug_log.exists()
