"""Types by measured sensitivity, on the small real model."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.errors import AppError, Cancelled, QuantizeError
from app.inspect import suggesting
from app.inspect.messages import SuggestTypes, workspace
from app.inspect.suggesting import Listener, Patch, groups_of, noise_ratio, suggest_types
from app.inspect.tensors import open_tensors
from app.operation import Context, Event, Progress, Stage
from app.quantize.native import Options, planned
from app.system.paths import Paths, default_paths
from tests.app.inspect.models import normal, write_gguf
from tests.real_models import EVAL_CODE, STDLIB_3M


@pytest.fixture
def paths(bantam_home: Path) -> Paths:
    return default_paths().ensure()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return convert(Convert(STDLIB_3M, tmp_path / "stdlib.gguf", "bf16"), Context()).path


def run(request: SuggestTypes, paths: Paths, stop_after: int = 10**9):  # type: ignore[no-untyped-def]
    said: list[Event] = []
    polled = iter(range(10**9))
    return suggest_types(
        request, Context(paths=paths, report=said.append, stop=lambda: next(polled) >= stop_after)
    ), said


def test_a_group_in_four_bits_costs_and_taken_back_costs_nothing(source: Path, paths: Paths, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(source.read_bytes())
    tensors = open_tensors(source)
    group = groups_of(tensors, {"blk.0.ffn_down.weight", "blk.1.ffn_down.weight"}, 1)[0]
    listener = Listener.of_model(source, EVAL_CODE.read_text(), 128, 2, 1, paths, lambda: False)
    patch = Patch(copy)
    patch.apply(group, lambda: False)
    assert 1e-4 < listener.divergence(copy, lambda: False) < 0.1
    patch.take_back(group)
    assert copy.read_bytes() == source.read_bytes()
    assert listener.divergence(copy, lambda: False) < 1e-7  # f32


def test_finer_types_have_less_noise(source: Path) -> None:
    group = groups_of(open_tensors(source), {"blk.0.ffn_up.weight"}, 1)[0]
    three, four, six = (noise_ratio(group, kind) for kind in ("Q3_K", "Q4_K", "Q6_K"))
    assert four == 1.0
    assert three > 3
    assert six < 0.1


@pytest.mark.wide
def test_a_suggestion_beats_the_usual_mixture_at_its_size(source: Path, paths: Paths) -> None:
    found, said = run(SuggestTypes(source), paths)
    assert found.suggested_bytes <= found.usual_bytes
    assert found.suggested_kl < 0.95 * found.usual_kl
    assert found.better
    made = planned(source, found.type, Options(overrides=found.overrides))
    for cost in found.groups:
        kind = cost.name.split(",")[0]
        types = {kind_ for name, kind_ in made.types.items() if re.search(rf"(^|\.){kind}\.weight", name)}
        assert cost.type in types
    shares = [event.done for event in said if isinstance(event, Progress) and event.stage is Stage.SENSITIVITY]
    assert shares == list(range(len(found.groups) + 1))
    assert not workspace(SuggestTypes(source), paths).exists()


@pytest.mark.parametrize("better", [True, False])
def test_the_verdict_is_that_of_the_measurement(better: bool) -> None:
    sentence = suggesting._sentence("Q4_K_M", 0.02, 0.01 if better else 0.0199, (1000, 1000), better=better)
    assert ("lose 50 % less" in sentence) == better
    assert ("as good" in sentence) == (not better)


def test_cancel_leaves_nothing(source: Path, paths: Paths) -> None:
    before = source.read_bytes()
    with pytest.raises(Cancelled):
        run(SuggestTypes(source, windows=1, context_tokens=64), paths, stop_after=20)
    assert not workspace(SuggestTypes(source), paths).exists()
    assert source.read_bytes() == before


def test_what_cannot_be_done_is_a_sentence(
    source: Path, paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = SuggestTypes(source)
    for changed, words in (
        ({"type": "IQ2_XS"}, "K-quant mixture"),
        ({"extra": -0.1}, "share of the file"),
        ({"extra": float("nan")}, "share of the file"),
        ({"windows": 0}, "At least one"),
        ({"model": tmp_path / "gone.gguf"}, "not there"),
    ):
        with pytest.raises(AppError, match=words):
            run(replace(request, **changed), paths)
    monkeypatch.setattr(suggesting, "available_memory_bytes", lambda: 1000)
    with pytest.raises(AppError, match="of memory"):
        run(request, paths)
    monkeypatch.setattr("app.system.files.free_bytes", lambda _folder: 1000)
    with pytest.raises(AppError, match="must stay free there"):
        run(request, paths)


def test_a_quantized_model_is_refused(source: Path, paths: Paths, tmp_path: Path) -> None:
    from app.quantize.native import quantize_file

    four = tmp_path / "four.gguf"
    quantize_file(source, four, "Q4_K_M", Options(), lambda _done, _total: None)
    with pytest.raises(QuantizeError, match="quantized already"):
        run(SuggestTypes(four), paths)


def test_a_file_that_is_no_whole_model_is_a_sentence(paths: Paths, tmp_path: Path) -> None:
    model = write_gguf(tmp_path / "m.gguf", {"blk.0.ffn_down.weight": normal(32, 256)})
    with pytest.raises(AppError):
        run(SuggestTypes(model), paths)
    assert not workspace(SuggestTypes(model), paths).exists()
