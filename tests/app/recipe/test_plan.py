"""What is promised of a recipe before the click is what is there after it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.memory import memory_need
from app.engine.messages import LoadModel
from app.errors import Cancelled
from app.fit.judgement import MemoryBudget
from app.fit.speed import SpeedBook, change_speed_book
from app.library.safetensors import facts_of
from app.operation import Context, Event, Notice
from app.prune import prune as pruning
from app.prune.messages import Prune, PruneMethod
from app.prune.peak import PROGRAM_BYTES, memory_bytes
from app.prune.prune import prune
from app.quantize.messages import Quantize
from app.quantize.quantize import quantize
from app.recipe import plan as recipe_plan
from app.recipe.effort import Work, read_pace, remember_pace
from app.recipe.messages import PlanRecipe, RecipePlanned
from app.recipe.plan import cut_stub, plan_recipe
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe, RecoverStep, as_toml, builtin_recipes
from app.recipe.words import cuts_of, rounded_cuts, shape_of
from app.recipe.work import model_steps, work_of
from app.recover.messages import RecoverMethod
from app.system.paths import Paths, default_paths
from tests.app.convert.small_models import make
from tests.app.quantize.test_preview import SPEED
from tests.real_models import EVAL_CODE, STDLIB_3M

PROJECT = Path(__file__).resolve().parents[3]
TYPES = ("Q4_K_M", "Q8_0")


@pytest.fixture
def paths() -> Paths:
    return default_paths().ensure()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STDLIB_3M, tmp_path / "owner" / "stdlib"))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(EVAL_CODE.read_text()[:8000])
    return path


def planned(source: Path, paths: Paths, recipe: Recipe) -> RecipePlanned:
    return plan_recipe(PlanRecipe(source, as_toml(recipe), 1024), Context(paths=paths))


def make_all(source: Path, recipe: Recipe, text: Path) -> list[Path]:
    """Carry out what makes folders and files."""
    files = []
    for request in work_of(recipe, source, source.parent).requests:
        if isinstance(request, Prune):
            prune(replace(request, text=text, chunks=2, context_tokens=64), Context())
        elif isinstance(request, Quantize):
            files.append(quantize(replace(request, calibrate=False), Context()).path)
    return files


def check(source: Path, paths: Paths, text: Path, *steps: PruneStep) -> None:
    recipe = Recipe("plan", (*steps, QuantizeStep(TYPES)))
    plan = planned(source, paths, recipe)
    assert plan.problem == ""
    files = make_all(source, recipe, text)
    assert [(result.type, result.size_bytes) for result in plan.results] == [
        (kind, file.stat().st_size) for kind, file in zip(TYPES, files, strict=True)
    ]
    for result, file in zip(plan.results, files, strict=True):
        need = memory_need(LoadModel(file, context_tokens=1024)).resident_bytes
        assert result.resident_bytes == pytest.approx(need, abs=4_000_000)  # what the heap holds differs by the moment
    assert plan.parameters_after == facts_of(files[0].parent).parameters


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(PruneStep(PruneMethod.FFN, 0.3), id="ffn"),
        pytest.param(PruneStep(PruneMethod.KV_GROUPS, 0.5), id="kv groups"),
        pytest.param(PruneStep(PruneMethod.FFN, 0.4, width_multiple=32), id="ffn 32", marks=pytest.mark.wide),
        pytest.param(PruneStep(PruneMethod.LAYERS, 0.5), id="layers", marks=pytest.mark.wide),
        pytest.param(PruneStep(PruneMethod.WANDA, 0.5), id="wanda", marks=pytest.mark.wide),
    ],
)
def test_sizes_are_exact(source: Path, paths: Paths, text: Path, step: PruneStep) -> None:
    check(source, paths, text, step)


def test_sizes_are_exact_after_several_cuts(source: Path, paths: Paths, text: Path) -> None:
    check(source, paths, text, PruneStep(PruneMethod.LAYERS, 0.5), PruneStep(PruneMethod.FFN, 0.3))


@pytest.mark.wide
@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "mistral", "gemma3", "llama3"])
@pytest.mark.parametrize("method", [PruneMethod.FFN, PruneMethod.LAYERS, PruneMethod.KV_GROUPS])
def test_sizes_are_exact_for_every_family(
    tmp_path: Path, paths: Paths, text: Path, kind: str, method: PruneMethod
) -> None:
    (tmp_path / "owner").mkdir()
    check(make(kind, tmp_path / "owner" / "model"), paths, text, PruneStep(method, 0.5))


def test_a_plan_without_the_cut_would_be_another(source: Path, paths: Paths) -> None:
    """The control: the size of the whole model is not what is promised for the cut one."""
    whole, cut = (
        planned(source, paths, Recipe("plan", (*steps, QuantizeStep(TYPES)))).results[0].size_bytes
        for steps in ((), (PruneStep(PruneMethod.FFN, 0.3),))
    )
    assert cut < whole


def test_every_step_says_what_it_takes_and_changes(source: Path, paths: Paths) -> None:
    steps = (
        PruneStep(PruneMethod.FFN, 0.6, width_multiple=32, rounds=3),
        RecoverStep(RecoverMethod.FULL),
        QuantizeStep(("Q4_0",)),
    )
    change_speed_book(paths.speed, lambda _book: SpeedBook(SPEED))
    plan = planned(source, paths, Recipe("plan", steps))
    assert plan.problem == ""
    cut, learn, round_ = plan.steps
    assert all(step.seconds > 0 and step.peak_memory_bytes > 4e8 and step.disk_bytes > 0 for step in plan.steps)
    assert "from 768 to 320" in cut.changes
    assert "not 60 %" not in cut.changes, "it takes 58 %, which is near"
    assert "In 3 rounds, with 20,000 tokens" in cut.changes
    assert "cautious guess" in cut.changes
    assert "All weights learn" in learn.changes
    assert "One file to chat with (Q4_0)" in round_.changes
    assert (cut.kept_bytes, learn.kept_bytes) == (0, learn.disk_bytes)
    assert round_.kept_bytes == plan.results[0].size_bytes
    assert plan.results[0].ms_per_token is not None
    assert plan.disk_bytes >= learn.disk_bytes + plan.results[0].size_bytes


@pytest.mark.parametrize("method", PruneMethod)
def test_the_memory_of_a_cut_is_what_pruning_itself_counts(
    source: Path, paths: Paths, method: PruneMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, said = PruneStep(method, 0.3), []

    def report(event: Event) -> None:
        assert isinstance(event, Notice)
        raise Cancelled

    monkeypatch.setattr(pruning, "memory_bytes", lambda *given: said.append(memory_bytes(*given)) or said[-1])
    (request,) = (one.request for one in model_steps(Recipe("plan", (step,)), source))
    with pytest.raises(Cancelled):
        prune(replace(request, output=source.with_name("out")), Context(report=report))
    plan = planned(source, paths, Recipe("plan", (step, QuantizeStep(("Q4_0",)))))
    assert said == [plan.steps[0].peak_memory_bytes - PROGRAM_BYTES]
    assert plan.steps[1].peak_memory_bytes > PROGRAM_BYTES, "the libraries stay in the process"


def test_measuring_takes_time_where_no_speed_is_known_too(source: Path, paths: Paths) -> None:
    (guessed,) = planned(source, paths, Recipe("plan", (QuantizeStep(("Q4_0",)),))).steps
    change_speed_book(paths.speed, lambda _book: SpeedBook(SPEED))
    (known,) = planned(source, paths, Recipe("plan", (QuantizeStep(("Q4_0",)),))).steps
    assert known.seconds / 20 < guessed.seconds < 20 * known.seconds
    assert "cautious guess" in guessed.changes
    assert "cautious guess" not in known.changes


def test_fitting_gate_and_up_takes_longer_and_more_memory(source: Path, paths: Paths) -> None:
    down, all_three = (
        planned(source, paths, Recipe("plan", (PruneStep(PruneMethod.FFN, 0.3, refit_gate_up=also),))).steps[0]
        for also in (False, True)
    )
    assert all_three.seconds > down.seconds
    assert all_three.peak_memory_bytes > down.peak_memory_bytes
    assert "in several passes" in all_three.changes
    assert "in several passes" not in down.changes


def test_a_width_far_from_what_was_asked_is_said(source: Path, paths: Paths) -> None:
    little = Recipe("plan", (PruneStep(PruneMethod.FFN, 0.01), QuantizeStep(("Q4_0",))))
    plan = planned(source, paths, little)
    assert plan.problem == ""
    assert "from 768 to 512" in plan.steps[0].changes
    assert "takes 33 % and not 1 %: 512 is the nearest of the widths" in plan.steps[0].changes
    (words,) = rounded_cuts(little, source)
    assert words.startswith("FFN neurons: 768 become 512. That takes 33 %")


@pytest.mark.parametrize(("method", "what"), [(PruneMethod.LAYERS, "layers"), (PruneMethod.KV_GROUPS, "groups")])
def test_a_count_far_from_what_was_asked_is_said(source: Path, paths: Paths, method: PruneMethod, what: str) -> None:
    little, half = (Recipe("plan", (PruneStep(method, amount), QuantizeStep(("Q4_0",)))) for amount in (0.01, 0.5))
    assert f"takes 50 % and not 1 %: 1 of 2 {what}" in planned(source, paths, little).steps[0].changes
    assert "That takes" not in planned(source, paths, half).steps[0].changes
    (words,) = rounded_cuts(little, source)
    assert "2 become 1. That takes 50 %" in words
    assert not list(rounded_cuts(half, source))


def test_zeros_are_said_to_gain_nothing(source: Path, paths: Paths) -> None:
    sparse = PruneStep(PruneMethod.SPARSEGPT, 0.5, pattern="2:4")
    plan = planned(source, paths, Recipe("plan", (sparse, QuantizeStep(("Q4_0",)))))
    assert (
        "Zeros spread through the weights do not make the file smaller or the answers faster" in plan.steps[0].changes
    )
    whole = planned(source, paths, Recipe("plan", (QuantizeStep(("Q4_0",)),)))
    # The header holds the model's name, which grew by “-50pct-zeros”.
    assert 0 <= plan.results[0].size_bytes - whole.results[0].size_bytes <= 64


def test_those_that_come_along_can_be_planned(source: Path, paths: Paths) -> None:
    for recipe in builtin_recipes():
        assert planned(source, paths, recipe).problem == ""


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ('name = "a"\n[[step]]\nprune = "ffn"\namount = 2', "Step 1 (prune): “amount” is 2.0"),
        ('name = "a"\n[[step]]\nprune = "ffn"\namount = 0.5\nwidth_multiple = 4096', "is a multiple of 4096"),
    ],
)
def test_a_recipe_that_does_not_do_is_a_problem_in_words(source: Path, paths: Paths, recipe: str, words: str) -> None:
    assert words in plan_recipe(PlanRecipe(source, recipe), Context(paths=paths)).problem


def test_a_folder_that_is_no_model_is_a_problem_in_words(tmp_path: Path, paths: Paths) -> None:
    plan = planned(tmp_path, paths, builtin_recipes()[0])
    assert "no config.json" in plan.problem
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["StrangeForCausalLM"], "num_hidden_layers": 2}))
    assert planned(tmp_path, paths, builtin_recipes()[0]).problem


def test_too_little_room_is_a_problem_in_words(source: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe_plan, "memory_budget", lambda: MemoryBudget(10**8, 10**8))
    assert "of memory" in planned(source, paths, builtin_recipes()[0]).problem
    monkeypatch.setattr(recipe_plan, "free_bytes", lambda _folder: 10**6)
    plan = planned(source, paths, builtin_recipes()[0])
    assert "on the disk" in plan.problem
    assert plan.steps  # what it would take is shown all the same


def test_a_stop_ends_it(source: Path, paths: Paths) -> None:
    with pytest.raises(Cancelled):
        plan_recipe(PlanRecipe(source, as_toml(builtin_recipes()[0])), Context(paths=paths, stop=lambda: True))


def test_the_pace_is_that_of_the_last_run(paths: Paths) -> None:
    guessed = read_pace(paths.effort, Work.PRUNE)
    assert not guessed.measured
    remember_pace(paths.effort, Work.PRUNE, 1e12, 105.0)
    pace = read_pace(paths.effort, Work.PRUNE)
    assert pace.measured
    assert pace.seconds(1e12) == pytest.approx(105.0)
    assert not read_pace(paths.effort, Work.RECOVER).measured
    remember_pace(paths.effort, Work.PRUNE, 1e9, 6.0)  # too short to be a measurement
    assert read_pace(paths.effort, Work.PRUNE) == pace
    paths.effort.write_text('{"prune": "fast", "recover": -1}')
    assert not read_pace(paths.effort, Work.PRUNE).measured


WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "peft"):
    sys.modules[name] = None
from pathlib import Path
from app.recipe.plan import plan_recipe
from app.operation import Context
from app.recipe.messages import PlanRecipe
for recipe in sys.argv[2:]:
    plan = plan_recipe(PlanRecipe(Path(sys.argv[1]), recipe, 1024), Context())
    print(len(plan.steps), plan.problem)
"""


def test_a_plan_needs_no_torch_and_says_where_the_recipe_does(source: Path) -> None:
    """In a bundle PyTorch is a package of its own."""
    steps = (PruneStep(PruneMethod.FFN, 0.25), RecoverStep(RecoverMethod.QLORA), QuantizeStep(TYPES))
    recipes = (as_toml(Recipe("All", steps)), as_toml(Recipe("Smaller", steps[2:])))
    command = [sys.executable, "-c", WITHOUT_TORCH, str(source), *recipes]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    whole, quantized = done.stdout.splitlines()
    assert whole.startswith("3 Pruning and recovery need PyTorch, which is not installed.")
    assert quantized.strip() == "1"


def test_the_cut_folder_is_described_as_it_is_made(source: Path, text: Path) -> None:
    step = PruneStep(PruneMethod.FFN, 0.3)
    (cut,) = cuts_of(step, shape_of(source))
    stub = cut_stub(source, cut.shape)
    request = Prune(source, source.with_name("cut"), step.method, cut.amount, text=text, chunks=2, context_tokens=64)
    made = prune(request, Context())
    assert (stub.parameters, stub.size_bytes) == (made.parameters_after, pytest.approx(made.size_bytes, rel=1e-3))
    assert shape_of(made.path) == cut.shape
