"""The whole way: better than before or nothing, the same after any interruption, zeros kept, the folder as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.errors import Cancelled, RecoverError, StorageError
from app.library.manifest import FileOrigin, Manifest, read_manifest, write_manifest
from app.library.provenance import FfnCut
from app.operation import Context, Event, Progress, Stage
from app.prune.messages import Prune, PruneMethod
from app.prune.prune import prune
from app.recover import recover as module
from app.recover import training
from app.recover.adapters import EffectiveLinear
from app.recover.messages import BUNDLED_TEXT, PlanRecovery, Recover, RecoverMethod
from app.recover.recover import plan_recovery, recover, workspace
from tests.real_models import EVAL_CODE, STDLIB_3M

BUDGET = 1_500


def request_of(cut: Path, tmp_path: Path, **changes: Any) -> Recover:
    """Short windows of the user's text: quick, and the loss falls at once."""
    request = Recover(cut, STDLIB_3M, tmp_path / "recovered", budget_tokens=BUDGET, text=str(EVAL_CODE), threads=1)
    return replace(request, context_tokens=64, batch_windows=4, **changes)


def run(request: Recover, report: Callable[[Event], None] = lambda _event: None) -> Any:
    return recover(request, Context(report=report))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("method", list(RecoverMethod))
def test_it_comes_nearer_to_the_teacher(cut: Path, tmp_path: Path, method: RecoverMethod) -> None:
    said: list[Event] = []
    result = run(request_of(cut, tmp_path, method=method), said.append)
    assert result.kl_after < 0.9 * result.kl_before
    assert result.perplexity_teacher < result.perplexity_after < result.perplexity_before
    steps = [event for event in said if isinstance(event, Progress) and event.stage is Stage.RECOVER]
    assert steps[-1].done == steps[-1].total == result.tokens == 1_536
    assert all(event.loss is not None for event in steps)
    assert not workspace(result.path).exists()


def test_the_folder_is_laid_out_as_it_was(cut: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(cut, tmp_path / "model"))
    write_manifest(
        model, Manifest({"model.safetensors": FileOrigin("", 0, steps=(FfnCut(768, (512,), refitted=False),))})
    )
    result = run(request_of(model, tmp_path))
    assert {f.name for f in result.path.iterdir()} == {f.name for f in model.iterdir()}
    for name in ("config.json", "tokenizer.json", "generation_config.json", "chat_template.jinja"):
        assert (result.path / name).read_bytes() == (model / name).read_bytes()
    before, after = weights(model), weights(result.path)
    assert {name: (t.shape, t.dtype) for name, t in before.items()} == {n: (t.shape, t.dtype) for n, t in after.items()}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "_proj" in name}
    origin = read_manifest(result.path).files["model.safetensors"]
    assert origin.altered
    assert origin.recipe == result.recipe == f"FFN 768 to 512; recovered, LoRA, 1,500 tokens, text {EVAL_CODE.name}"
    assert (result.path / origin.parent).resolve() == model.resolve()
    with safe_open(result.path / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
    assert convert(Convert(result.path, tmp_path / "x.gguf"), Context()).path.is_file()


@pytest.mark.parametrize("method", [RecoverMethod.LORA, pytest.param(RecoverMethod.FULL, marks=pytest.mark.wide)])
def test_killed_and_run_again_it_ends_with_the_same_bits(
    cut: Path, tmp_path: Path, method: RecoverMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    request = request_of(cut, tmp_path, method=method, budget_tokens=1_000)
    whole = weights(run(replace(request, output=tmp_path / "whole")).path)

    def killed(event: Event) -> None:
        if isinstance(event, Progress) and event.stage is Stage.RECOVER and event.done >= 500:
            raise _Killed

    with pytest.raises(_Killed):
        run(request, killed)
    assert not request.output.exists()
    firsts: list[int] = []
    again = run(request, lambda e: firsts.append(e.done) if getattr(e, "stage", "") is Stage.RECOVER else None)
    assert firsts[0] >= 500  # it did not begin again
    assert same(weights(again.path), whole)
    other = run(replace(request, output=tmp_path / "other", seed=2))
    assert not same(weights(other.path), whole)  # control: another order of the text shows in the bits


class _Killed(BaseException):
    """The end of the process, as far as the code can tell."""


def test_stopped_it_goes_on_later(cut: Path, tmp_path: Path) -> None:
    request = request_of(cut, tmp_path, budget_tokens=1_000)
    whole = weights(run(replace(request, output=tmp_path / "whole")).path)
    steps: list[Event] = []

    def report(event: Event) -> None:
        if isinstance(event, Progress) and event.stage is Stage.RECOVER:
            steps.append(event)

    with pytest.raises(Cancelled):
        recover(request, Context(report=report, stop=lambda: len(steps) == 2))
    assert not request.output.exists()
    assert same(weights(run(request, report).path), whole)
    assert len(steps) == 4


def test_what_was_left_by_another_request_is_not_gone_on_from(cut: Path, tmp_path: Path) -> None:
    request = request_of(cut, tmp_path, budget_tokens=1_000)
    whole = weights(run(replace(request, output=tmp_path / "whole")).path)
    with pytest.raises(Cancelled):
        recover(replace(request, learning_rate=0.01), Context(stop=_after_calls(22)))
    assert workspace(request.output).exists()
    assert same(weights(run(request).path), whole)


def _after_calls(count: int) -> Callable[[], bool]:
    calls = iter(range(count))
    return lambda: next(calls, None) is None


@pytest.mark.parametrize("method", [RecoverMethod.LORA, RecoverMethod.FULL])
def test_zeros_stay_zeros(sparse: Path, tmp_path: Path, method: RecoverMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    before = weights(sparse)
    request = request_of(sparse, tmp_path, method=method, budget_tokens=500)
    after = weights(run(request).path)
    for name in (name for name in before if "_proj" in name):
        assert bool((after[name][before[name] == 0] == 0).all())
        assert not torch.equal(after[name], before[name])
    monkeypatch.setattr("app.recover.adapters.SPARSE_FROM", 1.0)  # control: without the masks they are filled
    filled = weights(run(replace(request, output=tmp_path / "filled")).path)
    name = "model.layers.0.mlp.up_proj.weight"
    assert (filled[name] == 0).float().mean() < 0.5 * (before[name] == 0).float().mean()


def test_training_on_the_grid_makes_a_better_file(tmp_path: Path) -> None:
    """Of a model that is its own teacher: what is left to learn is what Q4_0 does to it."""
    request = request_of(STDLIB_3M, tmp_path, method=RecoverMethod.FULL, quantization_aware="Q4_0", budget_tokens=3_000)
    result = run(request)
    assert result.kl_after < 0.97 * result.kl_before
    assert result.kl_after == pytest.approx(_as_q4_0(result.path, request))
    assert result.kl_before == pytest.approx(_as_q4_0(STDLIB_3M, request))
    teacher = Path(shutil.copytree(STDLIB_3M, tmp_path / "copy"))
    plain = replace(request, teacher=teacher, quantization_aware="", output=tmp_path / "plain", budget_tokens=500)
    with pytest.raises(RecoverError, match="no better"):  # control: without the grid it cannot see what is lost
        run(plain)


def _as_q4_0(folder: Path, request: Recover) -> float:
    from app.recover.loading import load

    ready = load(replace(request, model=folder), lambda _event: None, lambda: False)
    return module._measure(request, ready.student, ready, lambda _event: None, lambda: False).kl


def test_a_worse_result_is_not_kept(cut: Path, tmp_path: Path) -> None:
    request = request_of(cut, tmp_path, learning_rate=0.3, budget_tokens=1_000)
    with pytest.raises(RecoverError, match=r"no better on text it had not seen.*nothing was written"):
        run(request)
    assert not list(tmp_path.glob("*recovered*"))


def test_a_loss_that_is_no_number_is_stepped_back_from_once(
    cut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = training.backward, iter(range(1_000))
    astray = {9}
    monkeypatch.setattr(
        training, "backward", lambda *given: original(*given) if next(calls) not in astray else float("nan")
    )
    assert run(request_of(cut, tmp_path, budget_tokens=1_500)).kl_after > 0
    astray |= set(range(1_000))
    with pytest.raises(RecoverError, match="went astray twice"):
        run(request_of(cut, tmp_path, budget_tokens=1_500, output=tmp_path / "second"))


def test_progressive_in_steps_the_windows_grow(cut: Path, tmp_path: Path) -> None:
    schedule = training.Schedule.of(request_of(cut, tmp_path, progressive=True))
    batch = torch.arange(4 * 64).view(4, 64)
    lengths = [schedule.windows_at(step, batch).shape for step in range(schedule.steps)]
    assert lengths == [(16, 16)] * 2 + [(8, 32)] * 2 + [(4, 64)] * 2
    assert run(request_of(cut, tmp_path, progressive=True)).kl_after > 0


def test_blocks_computed_twice_give_the_same(cut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = request_of(cut, tmp_path, budget_tokens=1_000)
    plain = weights(run(request).path)
    need = module.plan_memory(request)
    short = replace(need, way=replace(need.way, recompute=True))
    monkeypatch.setattr(module, "plan_memory", lambda _request: short)
    assert same(weights(run(replace(request, output=tmp_path / "twice")).path), plain)


def test_the_plan_writes_nothing(cut: Path, tmp_path: Path) -> None:
    plan = plan_recovery(PlanRecovery(request_of(cut, tmp_path)), Context())
    assert plan.trained_parameters == 16 * sum(256 * 2 + 256 + 256 + 256 + 128 + 256 + 128 + 3 * 768 for _ in range(2))
    assert plan.seconds > 0
    assert plan.peak_resident_bytes > 100_000_000
    assert not list(tmp_path.iterdir())


def test_memory_that_is_short_is_said_before(cut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.recover.memory.available_memory_bytes", lambda: 50_000_000)
    with pytest.raises(RecoverError, match=r"of memory here; 50\.0 MB are free"):
        run(request_of(cut, tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"budget_tokens": 0}, "budget"),
        ({"temperature": float("nan")}, "temperature"),
        ({"hard_loss": 1.5}, "cross-entropy"),
        ({"rank": 0}, "rank"),
        ({"learning_rate": float("inf")}, "learning rate"),
        ({"quantization_aware": "Q5_K"}, "Q4_0 only"),
        ({"teacher": Path("nowhere")}, "no folder with a model"),
    ],
)
def test_what_cannot_be_is_refused(cut: Path, tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecoverError, match=sentence):
        run(replace(request_of(cut, tmp_path), **changes))
    assert not list(tmp_path.iterdir())


def test_a_model_is_not_its_own_teacher(cut: Path, tmp_path: Path) -> None:
    with pytest.raises(RecoverError, match="its own teacher"):
        run(replace(request_of(cut, tmp_path), teacher=cut))
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_there_is_left_alone(cut: Path, tmp_path: Path) -> None:
    (tmp_path / "recovered").mkdir()
    with pytest.raises(StorageError, match="is there already"):
        run(request_of(cut, tmp_path))


def test_a_teacher_of_another_vocabulary(cut: Path, tmp_path: Path) -> None:
    teacher = Path(shutil.copytree(STDLIB_3M, tmp_path / "teacher"))
    tokenizer = json.loads((teacher / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["Ġother"] = vocabulary.pop(next(word for word, number in vocabulary.items() if number == 4_000))
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:100]
    (teacher / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(RecoverError, match="vocabular"):
        run(replace(request_of(cut, tmp_path), teacher=teacher))


def test_a_sparse_layer_multiplies_with_what_will_be_written() -> None:
    layer = torch.nn.Linear(32, 4, bias=False)
    mask = torch.ones(4, 32, dtype=torch.bool)
    mask[:, ::2] = False
    effective = EffectiveLinear(layer, mask, None)
    assert torch.equal(effective(torch.eye(32)).T, layer.weight * mask)


def test_text_bundled_and_by_the_teacher(cut: Path, tmp_path: Path) -> None:
    for text in (BUNDLED_TEXT, "teacher"):
        request = request_of(cut, tmp_path, output=tmp_path / text)
        result = run(replace(request, text=text, budget_tokens=3_000, learning_rate=3e-4))
        assert result.kl_after < result.kl_before


def test_layers_of_different_widths(tmp_path: Path) -> None:
    model = tmp_path / "by-layer"
    cut = Prune(STDLIB_3M, model, PruneMethod.FFN, 0.5, refit=False, width_multiple=32, per_layer=True, chunks=8)
    prune(replace(cut, text=EVAL_CODE, threads=1), Context())
    before = weights(model)
    widths = {tensor.shape for name, tensor in before.items() if "up_proj" in name}
    assert len(widths) == 2
    result = run(request_of(model, tmp_path))
    assert result.kl_after < result.kl_before
    assert {name: t.shape for name, t in weights(result.path).items()} == {n: t.shape for n, t in before.items()}
    assert (result.path / "config.json").read_bytes() == (model / "config.json").read_bytes()
    assert "; recovered, LoRA" in result.recipe
