"""Recovery as a step: where it wins nothing, what comes after it goes on with the model as it was."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.errors import AppError, NotBetterError, RecoverError
from app.operation import Context, Event, Notice
from app.recipe.effort import Work, read_pace
from app.recipe.steps import prune_step, recover_step
from app.recover.messages import Recover, Recovered
from app.system.paths import Paths, default_paths
from tests.real_models import STDLIB_3M

WORSE = NotBetterError("The trained model was no better (0.2, before 0.1): nothing was written.", "", 0.1, (9.0, 10.0))


@pytest.fixture
def paths() -> Paths:
    return default_paths().ensure()


@pytest.fixture
def request_(tmp_path: Path) -> Recover:
    model = Path(shutil.copytree(STDLIB_3M, tmp_path / "cut"))
    return Recover(model, STDLIB_3M, tmp_path / "learned", or_keep=True)


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def recover(*_: Any) -> Recovered:
        raise error

    monkeypatch.setattr("app.recover.recover.recover", recover)


def test_the_model_goes_on_as_it_was_and_that_is_said(
    request_: Recover, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, WORSE)
    said: list[Event] = []
    result = recover_step(request_, Context(paths=paths, report=said.append))
    assert (result.path, result.tokens, result.kl_before, result.kl_after) == (request_.output, 0, 0.1, 0.1)
    assert (result.perplexity_teacher, result.perplexity_after) == (9.0, 10.0)
    for file in request_.model.iterdir():
        assert (request_.output / file.name).read_bytes() == file.read_bytes()
    shutil.rmtree(request_.model)
    assert (request_.output / "model.safetensors").stat().st_size > 10**6
    (notice,) = (event.sentence for event in said if isinstance(event, Notice))
    assert notice == "The trained model was no better (0.2, before 0.1): it goes on with the model as it was."


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"or_keep": False}, WORSE),
        ({"model": STDLIB_3M}, WORSE),  # trained for a grid: the original is there already
        ({}, RecoverError("Something else.")),
    ],
    ids=["not asked for", "nothing was pruned", "another error"],
)
def test_otherwise_it_is_an_error(
    request_: Recover, paths: Paths, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], error: Exception
) -> None:
    failing(monkeypatch, error)
    with pytest.raises(RecoverError) as caught:
        recover_step(dataclasses.replace(request_, **changes), Context(paths=paths))
    assert caught.value is error
    assert not request_.output.exists()


def test_how_long_it_took_is_noted(request_: Recover, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    result = Recovered(request_.output, "", 1, 0.2, 0.1, 1.0, 2.0, 1.5, 100.0, 1)
    monkeypatch.setattr("app.recover.recover.recover", lambda *_: result)
    clock = iter([0.0, 105.0, 200.0, 305.0])
    monkeypatch.setattr("app.recipe.steps.time.monotonic", lambda: next(clock))
    request_.output.with_name(".learned.work").mkdir()
    recover_step(request_, Context(paths=paths))
    assert not read_pace(paths.effort, Work.RECOVER).measured  # half of it was done before
    request_.output.with_name(".learned.work").rmdir()
    clock = iter([0.0, 105.0])
    recover_step(request_, Context(paths=paths))
    assert read_pace(paths.effort, Work.RECOVER).measured


@pytest.mark.parametrize("step", [prune_step, recover_step])
def test_without_pytorch_it_is_said_before_anything_else(
    step: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AppError, match="need PyTorch"):
        step(None, Context(Paths(tmp_path)))
