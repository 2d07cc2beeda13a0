from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.commands import prune
from app.errors import Cancelled, PruneError
from app.operation import Context
from app.prune.messages import Prune
from tests.real_models import CALIBRATION, STDLIB_3M

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The command in this process, as the child runs it."""
    monkeypatch.setenv("BANTAM_COMMAND_CHILD", "1")

    def _run(*arguments: str) -> int:
        parser = argparse.ArgumentParser()
        prune.configure(parser)
        parser.add_argument("--json", action="store_true")
        small = ("--threads", "1", "--chunks", "2", "--context", "64", "--text", str(CALIBRATION))
        parsed = parser.parse_args([str(STDLIB_3M), *arguments, *small])
        code: int = parsed.run(parsed)
        return code

    before = signal.getsignal(signal.SIGINT)
    yield _run
    signal.signal(signal.SIGINT, before)


def test_makes_the_folder_and_says_so_as_json(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert run("--method", "wanda", "--amount", "0.5", "--output", str(output), "--json") == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert (said["path"], said["recipe"], said["zeros"]) == (str(output), "Wanda, 50 % zeros", 786432)
    assert "Pruning, layer by layer" in printed.err
    assert (output / "config.json").is_file()


def test_says_that_zeros_gain_nothing(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--method", "magnitude", "--amount", "0.5", "--pattern", "2:4", "--output", str(tmp_path / "out"))
    assert run(*arguments) == 0
    assert "Zeros make neither the file smaller nor the answers faster" in capsys.readouterr().out


def test_says_how_much_a_width_really_takes(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--method", "ffn", "--amount", "0.01", "--no-refit", "--output", str(tmp_path / "out")) == 0
    assert "That takes 33 % and not 1 %" in capsys.readouterr().out


def test_says_how_many_layers_really_go(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--method", "layers", "--amount", "0.01", "--output", str(tmp_path / "share")) == 0
    assert "That takes 50 % and not 1 %: 1 of 2 layers is as near as it gets." in capsys.readouterr().out
    assert run("--method", "layers", "--amount", "0.01", "--layers", "1", "--output", str(tmp_path / "named")) == 0
    assert "That takes" not in capsys.readouterr().out, "it was told which, and not how many"


def test_gate_and_up_are_fitted_on_request(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--method", "ffn", "--amount", "0.3", "--refit-gate-up")
    assert run(*arguments, "--output", str(tmp_path / "out"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == "FFN 768 to 512, refitted, gate and up too"
    with pytest.raises(PruneError, match="the refit is off"):
        run(*arguments, "--no-refit", "--output", str(tmp_path / "other"))


def test_a_sentence_for_what_cannot_be(run: Run, tmp_path: Path) -> None:
    with pytest.raises(PruneError, match="more than nothing"):
        run("--method", "wanda", "--amount", "0", "--output", str(tmp_path / "out"))
    with pytest.raises(PruneError, match="for the methods that set zeros"):
        run("--method", "ffn", "--amount", "0.3", "--pattern", "2:4", "--output", str(tmp_path / "out"))


def test_ctrl_c_stops_it_and_says_how_to_go_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_request: Prune, context: Context) -> None:
        assert not context.stop()
        signal.raise_signal(signal.SIGINT)
        assert context.stop()
        raise Cancelled

    monkeypatch.setattr("app.prune.prune.prune", interrupted)
    assert run("--method", "wanda", "--amount", "0.5", "--output", str(tmp_path / "out")) == 130
    assert "Run it again to go on" in capsys.readouterr().err
