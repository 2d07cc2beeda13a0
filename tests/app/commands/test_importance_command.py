from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from app.commands import importance
from app.errors import StorageError
from app.quantize.importance import read_importance
from app.system.paths import STARTER_MODEL
from tests.real_models import CALIBRATION


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """The command in this process, as the child runs it."""
    monkeypatch.setenv("BANTAM_COMMAND_CHILD", "1")

    def _run(*arguments: str) -> int:
        parser = argparse.ArgumentParser()
        importance.configure(parser)
        parser.add_argument("--json", action="store_true")
        parsed = parser.parse_args([*arguments, "--threads", "1", "--chunks", "1", "--context", "64"])
        return parsed.run(parsed)

    return _run


def test_writes_beside_the_model_and_says_so_as_json(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "starter.gguf"
    model.symlink_to(STARTER_MODEL)
    output = tmp_path / "starter.imatrix.gguf"
    assert run(str(model), "--text", str(CALIBRATION), "--output", str(output), "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"path": str(output), "entries": 42, "tokens": 64}
    assert "Measuring which weights matter" in printed.err
    assert len(read_importance(output)) == 42


def test_says_in_words_where_it_is(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "mine.gguf"
    arguments = (str(STARTER_MODEL), "--text", str(CALIBRATION), "--output", str(output))
    assert run(*arguments) == 0
    assert f"{output}: 42 matrices, from 64 tokens" in capsys.readouterr().out
    with pytest.raises(StorageError, match="is there already"):
        run(*arguments)
