"""The best rounding on real, trained weights: what it is worth, and that an interruption loses little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.errors import Cancelled, QuantizeError
from app.measure.messages import MeasureQuality
from app.measure.quality import measure_quality
from app.operation import Context, Event, Progress, Stage
from app.quantize.best import best_quantize as module
from app.quantize.messages import Quantize
from app.quantize.outputs import part_paths, workspace
from app.quantize.quantize import quantize
from app.system.paths import Paths
from tests.app.quantize.best.planted import with_outliers
from tests.real_models import CALIBRATION, EVAL_CHAT, STDLIB_3M


def silent(_event: Event) -> None:
    return None


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_bytes(CALIBRATION.read_bytes()[:60_000])
    return path


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough where it does not matter how good the result is."""
    path = tmp_path_factory.mktemp("text") / "little.txt"
    path.write_bytes(CALIBRATION.read_bytes()[:12_000])
    return path


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_outliers(tmp_path_factory.mktemp("planted") / "model")


def make(source: Path, output: Path, kind: str, text: Path, **how: bool) -> Path:
    return quantize(
        Quantize(source, output, kind, text=text, threads=1, **how), Context(report=silent, stop=never)
    ).path


def divergence(model: Path, reference: Path, paths: Paths) -> float:
    request = MeasureQuality(model, reference, EVAL_CHAT, context_tokens=256, chunks=16, threads=1)
    quality = measure_quality(request, Context(paths=paths, report=silent, stop=never))
    assert quality.kl_mean is not None
    return quality.kl_mean.value


def types(file: Path) -> dict[str, str]:
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(file).tensors}


@pytest.mark.parametrize(("kind", "most"), [("Q4_0", 0.3), pytest.param("Q4_K_M", 0.6, marks=pytest.mark.wide)])
def test_outliers_cost_a_fraction(kind: str, most: float, planted: Path, text: Path, tmp_path: Path) -> None:
    paths = Paths(tmp_path / "home").ensure()
    reference = convert(Convert(planted, tmp_path / "f32.gguf", "f32"), Context(report=silent, stop=never)).path
    weighed = make(planted, tmp_path / "weighed.gguf", kind, text, calibrate=True)
    best = make(planted, tmp_path / "best.gguf", kind, text, best=True)
    assert divergence(best, reference, paths) < most * divergence(weighed, reference, paths)
    assert types(best) == types(weighed)
    assert best.stat().st_size == weighed.stat().st_size


@pytest.mark.wide
def test_without_outliers_it_is_the_rounding_that_counts(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path / "home").ensure()
    reference = convert(Convert(STDLIB_3M, tmp_path / "f32.gguf", "f32"), Context(report=silent, stop=never)).path
    best = make(STDLIB_3M, tmp_path / "best.gguf", "Q4_0", text, best=True)
    monkeypatch.setattr(module, "_round_weights", lambda *_: None)
    folded = make(STDLIB_3M, tmp_path / "folded.gguf", "Q4_0", text, best=True)
    assert divergence(best, reference, paths) < 0.8 * divergence(folded, reference, paths)


def test_from_a_16_bit_file_which_stays_as_it_is(planted: Path, little: Path, tmp_path: Path) -> None:
    source = convert(Convert(planted, tmp_path / "bf16.gguf", "bf16"), Context(report=silent, stop=never)).path
    before = source.read_bytes()
    file = make(source, tmp_path / "a.gguf", "Q4_0", little, best=True)
    folder = make(planted, tmp_path / "b.gguf", "Q4_0", little, best=True)
    assert source.read_bytes() == before
    ours, theirs = ({t.name: np.asarray(t.data) for t in gguf.GGUFReader(path).tensors} for path in (file, folder))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


class StopIn:
    """Stops once so many layers have been rounded again, in per mille."""

    def __init__(self, done: int) -> None:
        self.done, self.stages, self.stopped = done, [], False

    def report(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.stages.append(event.stage)
            self.stopped |= event.stage is Stage.REROUND and event.done >= self.done

    def stop(self) -> bool:
        return self.stopped


@pytest.fixture
def layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_GRAM_BYTES", 0)


@pytest.mark.usefixtures("layer_by_layer")
def test_an_interrupted_one_goes_on(little: Path, tmp_path: Path) -> None:
    request = Quantize(STDLIB_3M, tmp_path / "m.gguf", "Q4_0", text=little, threads=1, best=True)
    whole = make(STDLIB_3M, tmp_path / "whole.gguf", "Q4_0", little, best=True)
    first = StopIn(500)
    with pytest.raises(Cancelled):
        quantize(request, Context(report=first.report, stop=first.stop))
    assert not request.output.exists()
    assert not any(part.exists() for part in part_paths(request))
    assert Stage.CONVERT in first.stages
    second = StopIn(2000)
    result = quantize(request, Context(report=second.report, stop=second.stop))
    assert Stage.CONVERT not in second.stages
    assert result.path.read_bytes() == whole.read_bytes()
    assert not workspace(request).exists()


@pytest.mark.usefixtures("layer_by_layer")
@pytest.mark.parametrize("change", [{"type": "Q4_K_M"}, {"text": None}, {"damage": True}])
def test_another_request_starts_afresh(
    change: dict[str, object], little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.txt"
    other.write_bytes(little.read_bytes()[:8000])
    monkeypatch.setattr(module, "CALIBRATION_TEXT", other)
    request = Quantize(STDLIB_3M, tmp_path / "m.gguf", "Q4_0", text=little, threads=1, best=True)
    first, second = StopIn(500), StopIn(0)
    with pytest.raises(Cancelled):
        quantize(request, Context(report=first.report, stop=first.stop))
    if change.pop("damage", False):
        (workspace(request) / "state.json").write_text("{")
    with pytest.raises(Cancelled):
        quantize(replace(request, **change), Context(report=second.report, stop=second.stop))
    assert Stage.CONVERT in second.stages


def test_short_memory_is_said_before_the_text_is_read(
    little: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_memory_bytes", lambda: 3 * 4 * 768**2 - 1)
    watch = StopIn(2000)
    request = Quantize(STDLIB_3M, tmp_path / "m.gguf", "Q4_0", text=little, threads=1, best=True)
    with pytest.raises(QuantizeError, match="of memory beside the model"):
        quantize(request, Context(report=watch.report, stop=watch.stop))
    assert Stage.CALIBRATE not in watch.stages
    assert not workspace(request).exists(), "there is nothing to go on from yet"


def test_progress_grows_to_its_end_and_has_a_time(little: Path, tmp_path: Path) -> None:
    said: list[Progress] = []
    keep: Callable[[Event], None] = lambda event: said.append(event) if isinstance(event, Progress) else None  # noqa: E731
    quantize(
        Quantize(STDLIB_3M, tmp_path / "m.gguf", "Q4_0", text=little, threads=1, best=True),
        Context(report=keep, stop=never),
    )
    shares = [event.done for event in said if event.stage is Stage.REROUND]
    assert shares == sorted(shares)
    assert shares[-1] == 1000
    assert any(event.seconds_left for event in said if event.stage is Stage.REROUND)
