"""A draft of the model itself: what is promised before, what is refused, and the whole way on a small real model."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import gguf
import pytest

from app.drafts import make_draft as module
from app.drafts.make_draft import make_draft
from app.drafts.messages import MakeDraft, default_draft, workspace
from app.drafts.options import assumed_acceptance, draft_costs, draft_options
from app.engine.machine_record import read_choice
from app.engine.messages import PAYS_FROM, DraftVerdict
from app.errors import Cancelled, DraftError, StorageError
from app.fit.drafts import predicted_speed_up
from app.library.manifest import origin_of
from app.operation import Context, Event, Notice, StopFlag
from app.prune.peak import PROGRAM_BYTES
from app.quantize.messages import Quantize
from app.quantize.quantize import quantize
from app.recover.messages import BUNDLED_TEXT
from app.system.paths import Paths, default_paths
from tests.app.convert.small_models import make
from tests.app.engine.drafts import rewrite
from tests.real_models import EVAL_CODE, STDLIB_3M


@pytest.fixture
def paths() -> Paths:
    return default_paths().ensure()


@pytest.fixture
def request_(tmp_path: Path) -> MakeDraft:
    source = Path(shutil.copytree(STDLIB_3M, tmp_path / "me" / "stdlib"))
    target = source / "stdlib-Q8_0.gguf"
    quantize(Quantize(source, target, "Q8_0"), Context(stop=StopFlag()))
    text = tmp_path / "text.txt"
    text.write_text(EVAL_CODE.read_text()[:20_000])
    return MakeDraft(source, target, default_draft(source, "Q8_0"), 1, budget_tokens=4096, text=str(text), threads=1)


def made(request: MakeDraft, paths: Paths, said: list[Event] | None = None, stop: StopFlag | None = None) -> object:
    return make_draft(
        request, Context(paths=paths, report=(said if said is not None else []).append, stop=stop or StopFlag())
    )


def test_fewer_layers_cost_less_and_are_assumed_to_guess_worse(tmp_path: Path, paths: Paths) -> None:
    (tmp_path / "owner").mkdir()
    source = make("llama", tmp_path / "owner" / "deep", num_hidden_layers=8, tie_word_embeddings=True)
    target = source / "deep.gguf"
    quantize(Quantize(source, target, "Q8_0"), Context(stop=StopFlag()))
    options = draft_options(MakeDraft(source, target, tmp_path / "draft.gguf"), paths, lambda: False)
    assert [option.layers for option in options] == list(range(1, 8))
    costs = [option.cost for option in options]
    assert costs == sorted(costs)
    assert 0.2 < costs[0] < 0.4  # a layer in eight, and the embedding, which all keep
    assert costs[-1] < 1
    accepted = [option.acceptance for option in options]
    assert accepted == sorted(accepted)
    assert options[0].speed_up == predicted_speed_up(costs[0], assumed_acceptance(1 / 8))


def test_what_each_draft_takes_is_known_before(tmp_path: Path, paths: Paths) -> None:
    (tmp_path / "owner").mkdir()
    source = make("llama", tmp_path / "owner" / "deep", num_hidden_layers=4, tie_word_embeddings=True)
    request = MakeDraft(source, source / "deep.gguf", tmp_path / "draft.gguf", budget_tokens=10_000)
    costs = draft_costs(request, paths, lambda: False)
    assert len(costs) == 3
    assert all(cost.problem == "" and cost.memory_bytes > PROGRAM_BYTES and cost.disk_bytes > 0 for cost in costs)
    assert [cost.seconds for cost in costs] == sorted(cost.seconds for cost in costs)
    longer = draft_costs(replace(request, budget_tokens=1_000_000), paths, lambda: False)
    assert longer[0].seconds > costs[0].seconds


def test_a_target_of_another_vocabulary_is_refused_before_anything_is_made(request_: MakeDraft, paths: Paths) -> None:
    words = gguf.GGUFReader(request_.target).fields["tokenizer.ggml.tokens"].contents()
    words[200] = "different"
    other = rewrite(request_.target, request_.target.with_name("other.gguf"), tokenizer_ggml_tokens=words)
    with pytest.raises(DraftError, match="token 200 is different"):
        made(replace(request_, target=other), paths)
    assert not workspace(request_).exists()


def test_what_promises_nothing_is_refused_unless_it_is_asked_for(request_: MakeDraft, paths: Paths) -> None:
    with pytest.raises(DraftError, match="promises a gain"):
        made(replace(request_, layers=0), paths)
    with pytest.raises(DraftError, match="keeps 1 to 1 layers, and not 2"):
        made(replace(request_, layers=2), paths)


def test_nothing_is_written_over(request_: MakeDraft, paths: Paths) -> None:
    request_.output.write_bytes(b"mine")
    with pytest.raises(StorageError, match="there already"):
        made(request_, paths)
    with pytest.raises(StorageError, match="no folder"):
        made(replace(request_, output=Path("/nowhere/draft.gguf")), paths)


def test_another_request_has_another_work_folder(request_: MakeDraft) -> None:
    assert workspace(request_) == workspace(replace(request_, threads=3))
    assert workspace(request_) != workspace(replace(request_, text=BUNDLED_TEXT))


@pytest.mark.wide
@pytest.mark.parametrize("ratio", [PAYS_FROM + 0.2, 0.8], ids=["it pays", "it does not"])
def test_the_whole_way(request_: MakeDraft, paths: Paths, monkeypatch: pytest.MonkeyPatch, ratio: float) -> None:
    """Speeds are not measured on a busy test machine: what follows from them is."""
    tried = []

    def compare(session: object, *_: object) -> DraftVerdict:
        tried.append(session)
        return DraftVerdict(100.0, 100.0 * ratio, 0.4, 1.8, 2, 16)

    monkeypatch.setattr("app.engine.draft_trial.compare_draft", compare)
    said: list[Event] = []
    result = made(request_, paths, said)
    assert len(tried) == module._PROMPTS
    assert (result.path, result.layers, result.speed_up) == (request_.output, 1, pytest.approx(ratio))
    assert 0 < result.kl_after <= result.kl_before
    origin = origin_of(request_.output)
    assert origin is not None
    assert origin.recipe.startswith("1 of 2 layers left out (1, counted from 0); recovered, all weights, 4,096 tokens")
    assert (origin.parent, origin.altered) == (".", True)
    choice = read_choice(paths.drafts, request_.target)
    assert choice.ratios == {str(request_.output): pytest.approx(ratio)}
    assert choice.draft == (str(request_.output) if ratio > PAYS_FROM else "")
    words = [event.sentence for event in said if isinstance(event, Notice)]
    assert ("It is chosen from now on" if ratio > PAYS_FROM else "does not pay") in words[-1]
    assert not [path for path in request_.output.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.wide
def test_stopped_it_goes_on_after_the_cut(request_: MakeDraft, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = StopFlag()

    def stopping(*_: object) -> None:
        stop.set()
        raise Cancelled

    monkeypatch.setattr("app.recipe.steps.recover_step", stopping)
    with pytest.raises(Cancelled):
        made(request_, paths, stop=stop)
    assert (workspace(request_) / "cut" / "config.json").is_file()
    monkeypatch.setattr("app.recipe.steps.prune_step", None)  # it is not cut a second time
    with pytest.raises(Cancelled):
        made(request_, paths, stop=StopFlag())
