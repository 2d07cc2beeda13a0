import dataclasses

import pytest

from app.engine import draft_trial
from app.engine.draft_trial import PROMPTS_FILE, check_draft, compare_draft
from app.engine.kv_cache import KvCache
from app.engine.messages import CheckDraft, CompareDraft, Generate, Message, Role, Sampling
from app.errors import AppError, Cancelled
from app.operation import Progress, Stage
from tests.app.engine.conftest import QUESTION, Recorder
from tests.app.engine.drafts import draft_file

PROMPTS = ("What does os.path.join do?", "Show the signature of shutil.copy.", "What does str.split do?")
HOT = Sampling(temperature=0.8)


@pytest.fixture(scope="module")
def draft(tmp_path_factory):
    return draft_file(tmp_path_factory.mktemp("draft"))


@pytest.fixture
def pair(load, draft):
    return load(draft=draft)


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), HOT], ids=["greedy", "seeded"])
def test_a_draft_changes_nothing(pair, sampling):
    report = Recorder()
    result = check_draft(pair.session, CheckDraft(PROMPTS, sampling, 40), report, pair.stop)
    assert result.is_sound
    assert result.prompts == 3
    assert result.tokens > result.accepted_tokens > 5
    assert {event.stage for event in report.of(Progress)} == {Stage.CHECK_DRAFT}


def test_prompt_lookup_alone_can_be_checked(load):
    loaded = load(prompt_lookup=True)
    prompt = "red green blue yellow " * 8
    result = check_draft(loaded.session, CheckDraft((prompt,), Sampling(temperature=0), 60), Recorder(), loaded.stop)
    assert result.is_sound


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), HOT], ids=["greedy", "seeded"])
def test_a_fault_is_told_from_rounding(pair, monkeypatch, sampling):
    """The negative control: one token of the KV cache is another than it should be."""
    verify = KvCache.verify

    def corrupt(cache, tokens, size):
        return verify(cache, ((tokens[0] + 1) % 4000, *tokens[1:]), size)

    monkeypatch.setattr(KvCache, "verify", corrupt)
    result = check_draft(pair.session, CheckDraft(PROMPTS, sampling, 40), Recorder(), pair.stop)
    assert not result.is_sound
    worst = max(result.differences, key=lambda difference: difference.margin)
    assert worst.prompt in PROMPTS
    assert worst.plain != worst.speculative
    assert not worst.is_rounding


def test_after_the_check_drafts_are_chosen_by_their_gain_again(pair):
    check_draft(pair.session, CheckDraft(PROMPTS[:1], new_tokens=8), Recorder(), pair.stop)
    assert pair.session._drafting._lengths is None


def test_the_bundled_prompts_are_twenty():
    prompts = PROMPTS_FILE.read_text("utf-8").splitlines()
    assert len(prompts) == len(set(prompts)) == 20
    assert all(prompts)


def test_comparing_takes_pairs_of_answers(pair):
    result = compare_draft(pair.session, CompareDraft((QUESTION,), seconds=0.0), Recorder(), pair.stop)
    assert result.pairs == draft_trial._FEWEST_PAIRS
    assert result.plain_tokens_per_second > 0
    assert result.ratio == result.speculative_tokens_per_second / result.plain_tokens_per_second


def test_comparing_leaves_the_conversation_where_it_was(pair):
    text, _ = pair.answer(QUESTION, conversation="mine")
    compare_draft(pair.session, CompareDraft((QUESTION,), seconds=0.0), Recorder(), pair.stop)
    turns = (QUESTION, Message(Role.ASSISTANT, text), Message(Role.USER, PROMPTS[1]))
    greedy = Sampling(temperature=0, max_tokens=10)
    last = list(pair.session.generate(Generate("mine", turns, greedy), pair.report, pair.stop))[-1]
    assert last.statistics.reused_tokens > 10


@pytest.mark.parametrize("trial", [(compare_draft, CompareDraft((QUESTION,))), (check_draft, CheckDraft())])
def test_without_a_draft_there_is_nothing_to_try(starter, trial):
    function, request = trial
    with pytest.raises(AppError, match="without a draft"):
        function(starter.session, request, Recorder(), starter.stop)


@pytest.mark.parametrize("trial", [(compare_draft, CompareDraft((QUESTION,))), (check_draft, CheckDraft(PROMPTS))])
def test_a_trial_can_be_stopped(pair, trial):
    function, request = trial
    report = Recorder()
    report.on_event = lambda _event: pair.stop.set()
    with pytest.raises(Cancelled):
        function(pair.session, dataclasses.replace(request), report, pair.stop)
