import dataclasses
import shutil

import pytest

from app.engine.memory import draft_need
from app.engine.messages import KvType, LoadModel
from app.fit import drafts
from app.fit.drafts import draft_candidates, memory_beside, predicted_speed_up
from app.library.gguf_file import read_header
from app.library.library import ModelEntry, ModelSource
from app.system.paths import STARTER_MODEL
from tests.app.engine.drafts import draft_file, rewrite


def entry(path, **fields):
    header = dataclasses.replace(read_header(path), **fields)
    return ModelEntry(path, path.stem, path.stat().st_size, header, "", ModelSource.SINGLE_FILE)


@pytest.fixture(scope="module")
def draft(tmp_path_factory):
    return draft_file(tmp_path_factory.mktemp("draft"))


@pytest.fixture
def target():
    return entry(STARTER_MODEL)


def only(target, model):
    (candidate,) = draft_candidates(target, [model], 2048)
    return candidate


def test_a_small_model_of_the_same_vocabulary_can_draft(target, draft):
    candidate = only(target, entry(draft))
    assert candidate.problem == ""
    assert candidate.predicted_speed_up > 1.3


def test_its_memory_is_about_what_the_engine_says(target, draft):
    exact = draft_need(LoadModel(STARTER_MODEL), draft, 2048).total_bytes
    assert only(target, entry(draft)).memory_bytes == pytest.approx(exact, rel=0.5)


def test_a_cache_of_fewer_bits_takes_less(draft):
    header = read_header(draft)
    assert memory_beside(header, 2048, KvType.Q8_0) < memory_beside(header, 2048, KvType.F16)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"architecture": "qwen3next"}, "hybrid models cannot take tokens back"),
        ({"read_bytes": {"Q8_0": 20_000_000}}, "as large as the model itself"),
    ],
)
def test_why_a_model_cannot_draft(target, draft, fields, reason):
    candidate = only(target, entry(draft, **fields))
    assert candidate.problem == reason
    assert candidate.predicted_speed_up == 0


def test_a_hybrid_target_has_no_draft(draft):
    hybrid = entry(STARTER_MODEL, architecture="lfm2")
    assert only(hybrid, entry(draft)).problem == drafts.TAKES_NOTHING_BACK


def test_the_model_is_not_its_own_draft(target):
    assert only(target, target).problem == "this is the model itself"


def test_another_vocabulary_is_named_until_the_file_changes(target, draft, tmp_path):
    import gguf

    words = gguf.GGUFReader(draft).fields["tokenizer.ggml.tokens"].contents()
    words[139] = "different"
    other = rewrite(draft, tmp_path / "other.gguf", tokenizer_ggml_tokens=words)
    assert only(target, entry(other)).problem == "token 139 is different"
    shutil.copy(draft, other)
    assert only(target, entry(other)).problem == ""


def test_a_file_that_has_gone_meanwhile_is_no_draft(target, draft, tmp_path):
    copy = shutil.copy(draft, tmp_path / "copy.gguf")
    gone = entry(copy)
    copy.unlink()
    assert only(target, gone).problem == "its vocabulary could not be read"


def test_those_that_can_draft_come_first(target, draft):
    hybrid = dataclasses.replace(entry(draft, architecture="mamba"), name="A")
    candidates = draft_candidates(target, [hybrid, target, entry(draft)], 2048)
    assert [bool(candidate.problem) for candidate in candidates] == [False, True, True]


def test_what_cannot_be_loaded_is_no_candidate(target, draft):
    broken = dataclasses.replace(entry(draft), problem="The file is cut off.")
    assert draft_candidates(target, [broken], 2048) == ()


def test_the_gain_falls_with_the_draft_s_cost_and_is_never_a_loss():
    gains = [predicted_speed_up(cost) for cost in (0.0, 0.1, 0.3, 0.6, 1.0)]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 1.5
    assert gains[-1] == 1.0
    assert predicted_speed_up(0.1, acceptance=0.9) > predicted_speed_up(0.1, acceptance=0.5)
