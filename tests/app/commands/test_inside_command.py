"""`bantam inside` in a terminal."""

from __future__ import annotations

import json

import pytest

from app.cli import main
from app.system.paths import STARTER_MODEL


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANTAM_COMMAND_CHILD", "1")


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inside", str(STARTER_MODEL)]) == 0
    out = capsys.readouterr().out
    assert "blk.0.ffn_down.weight" in out
    assert "512 × 1536" in out
    assert "56 tensors" in out


def test_one_tensor_in_words_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["inside", str(STARTER_MODEL), "blk.0.attn_k.weight"]
    assert main(command) == 0
    out = capsys.readouterr().out
    for words in ("kurtosis", "█", "Input channels by weights", "Product quantization", "Q4_K", " dB"):
        assert words in out
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tensor"]["shape"] == [256, 512]
    assert {error["name"] for error in found["errors"]} >= {"Q4_K", "Q8_0"}


def test_trouble_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inside", str(STARTER_MODEL), "blk.99.attn_k.weight"]) == 1
    assert "no tensor named" in capsys.readouterr().err
    assert main(["inside", str(STARTER_MODEL), "x", "--suggest"]) == 1
    assert "Leave one of them out" in capsys.readouterr().err
