"""`bantam recover`: what it prints, and what it leaves."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.commands import recover
from app.errors import RecoverError
from tests.real_models import EVAL_CODE, STDLIB_3M


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command in this process, as the child runs it."""
    monkeypatch.setenv("BANTAM_COMMAND_CHILD", "1")
    monkeypatch.setattr("signal.signal", lambda _number, _handler: None)

    def _run(*arguments: str) -> int:
        parser = argparse.ArgumentParser()
        recover.configure(parser)
        parser.add_argument("--json", action="store_true")
        parsed = parser.parse_args([*arguments, "--threads", "1", "--context", "64", "--text", str(EVAL_CODE)])
        code: int = parsed.run(parsed)
        return code

    return _run


def test_a_plan_says_time_and_memory(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, teacher = tmp_path / "out", Path(shutil.copytree(STDLIB_3M, tmp_path / "teacher"))
    common = (str(STDLIB_3M), "--teacher", str(teacher), "--output", str(output), "--plan")
    assert run(*common, "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["seconds"] > 0
    assert plan["trained_parameters"] > 100_000
    assert list(tmp_path.iterdir()) == [teacher]


def test_what_cannot_be_done_is_said(run: Callable[..., int], tmp_path: Path) -> None:
    with pytest.raises(RecoverError, match="no folder with a model"):
        run(str(tmp_path / "no-model"), "--teacher", str(STDLIB_3M))
    with pytest.raises(SystemExit):
        run(str(STDLIB_3M), "--teacher", str(STDLIB_3M), "--hard-loss", "2")


def test_the_output_lies_beside_the_model(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    recover.configure(parser)
    parsed = parser.parse_args([str(tmp_path / "model"), "--teacher", str(STDLIB_3M), "--for-q4"])
    request = recover._request(parsed)
    assert request.output == tmp_path / "model-recovered"
    assert request.quantization_aware == "Q4_0"
