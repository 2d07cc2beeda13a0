import dataclasses

import pytest

from app.engine import speculative
from app.engine.draft_model import DraftModel, common_length
from app.engine.kv_cache import KvCache
from app.engine.llama import DecodeError
from app.engine.messages import DraftFigures, Generate, Message, Role, Sampling, StopReason
from app.operation import Notice, Progress, Stage
from tests.app.engine.conftest import QUESTION
from tests.app.engine.drafts import FixedCosts, draft_file, rewrite, useless_file

QUESTIONS = [
    Message(Role.USER, text)
    for text in (
        "What does os.path.join do?",
        "Show the signature of shutil.copy.",
        "What does str.split do?",
        "Write a poem about the sea.",
        "What is the difference between list.sort and sorted?",
    )
]
GREEDY = Sampling(temperature=0.0, max_tokens=60)
HOT = Sampling(temperature=0.8, seed=5, max_tokens=60, repeat_penalty=1.1, ignore_end=True)


@pytest.fixture(scope="module")
def draft(tmp_path_factory):
    return draft_file(tmp_path_factory.mktemp("draft"))


@pytest.fixture
def pair(load, draft):
    return with_fixed_costs(load(draft=draft))


def with_fixed_costs(loaded):
    drafting = loaded.session._drafting
    drafting.costs = FixedCosts()
    if drafting.model is not None:
        drafting.model.step_ms, drafting.model.read_ms = 5.0, 1.0
        drafting.model._read = drafting.model.cache.extend  # its own times are not taken
    return loaded


def generate(loaded, message, sampling, speculative=True):
    request = Generate("", (message,), sampling, speculative=speculative)
    return list(loaded.session.generate(request, loaded.report, loaded.stop))


def said(tokens):
    return [token.text for token in tokens]


@pytest.mark.parametrize("sampling", [GREEDY, HOT], ids=["greedy", "seeded"])
def test_it_says_what_plain_decoding_says(pair, sampling):
    accepted = 0
    for question in QUESTIONS:
        plain = generate(pair, question, sampling, speculative=False)
        cache = list(pair.session._cache.tokens)
        drafted = generate(pair, question, sampling)
        assert said(drafted) == said(plain)
        assert drafted[-1].statistics.stop_reason is plain[-1].statistics.stop_reason
        assert pair.session._cache.tokens == cache
        accepted += drafted[-1].statistics.draft_tokens
    assert accepted > 20


def test_tokens_left_in_the_cache_would_change_the_text(pair, monkeypatch):
    """The negative control of the test above: what is rejected must go."""
    plain = [said(generate(pair, question, GREEDY, speculative=False)) for question in QUESTIONS]
    keep = KvCache.keep

    def forgetful(cache, count):
        if cache is pair.session._cache and count > 30:  # beyond the prompt
            del cache.tokens[count:]
            return count
        return keep(cache, count)

    monkeypatch.setattr(KvCache, "keep", forgetful)
    try:
        changed = [said(generate(pair, question, GREEDY)) for question in QUESTIONS]
    except DecodeError:
        return  # llama.cpp noticed that positions are taken
    assert changed != plain


def test_it_needs_fewer_runs_of_the_model_and_says_which_tokens_were_guessed(pair):
    tokens = generate(pair, QUESTION, GREEDY)
    figures = tokens[-1].statistics.drafting
    assert figures.steps < figures.new_tokens
    assert figures.accepted_tokens == sum(token.from_draft for token in tokens)
    assert figures.tokens_per_step == pytest.approx(1 + figures.accepted_tokens / figures.steps)
    assert 0 < figures.acceptance <= 1


def test_plain_decoding_has_no_figures(pair):
    assert generate(pair, QUESTION, GREEDY, speculative=False)[-1].statistics.drafting is None


@pytest.mark.parametrize("most", range(1, 12))
def test_it_ends_where_max_tokens_says(pair, most):
    sampling = dataclasses.replace(GREEDY, max_tokens=most)
    tokens = generate(pair, QUESTION, sampling)
    assert tokens[-1].statistics.new_tokens == most
    assert said(tokens) == said(generate(pair, QUESTION, sampling, speculative=False))


@pytest.mark.parametrize("stop", ["path", "component is", "previous"])
def test_a_stop_string_in_the_middle_of_a_draft_leaves_the_same_cache(pair, stop):
    sampling = dataclasses.replace(GREEDY, stop=(stop,))
    plain = generate(pair, QUESTION, sampling, speculative=False)
    cache = list(pair.session._cache.tokens)
    tokens = generate(pair, QUESTION, sampling)
    assert tokens[-1].statistics.stop_reason is StopReason.STOP_STRING
    assert "".join(said(tokens)) == "".join(said(plain))
    assert pair.session._cache.tokens == cache


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_leaving_in_the_middle_of_a_draft_keeps_only_what_was_said(pair, count):
    request = Generate("", (QUESTION,), GREEDY)
    answer = pair.session.generate(request, pair.report, pair.stop)
    pieces = [next(answer) for _ in range(count)]
    answer.close()
    cache, model = pair.session._cache, pair.session.model
    text = b"".join(model.piece(token) for token in cache.tokens).decode()
    assert text.endswith("assistant\n" + "".join(said(pieces[:-1])))
    assert said(generate(pair, QUESTION, GREEDY)) == said(generate(pair, QUESTION, GREEDY, speculative=False))


def test_a_stop_during_a_verification_ends_the_answer_in_order(pair, monkeypatch):
    verify = KvCache.verify

    def stop_then_verify(cache, tokens, size):
        if len(tokens) > 1:
            pair.stop.set()
        return verify(cache, tokens, size)

    monkeypatch.setattr(KvCache, "verify", stop_then_verify)
    tokens = generate(pair, QUESTION, GREEDY)
    assert tokens[-1].statistics.stop_reason is StopReason.STOPPED
    monkeypatch.undo()
    pair.stop.clear()
    assert said(generate(pair, QUESTION, GREEDY)) == said(generate(pair, QUESTION, GREEDY, speculative=False))


def test_the_context_may_become_full_in_the_middle_of_a_draft(load, draft):
    pair = with_fixed_costs(load(draft=draft, context_tokens=256))
    sampling = dataclasses.replace(GREEDY, max_tokens=0, ignore_end=True)
    plain = generate(pair, QUESTION, sampling, speculative=False)
    cache = list(pair.session._cache.tokens)
    tokens = generate(pair, QUESTION, sampling)
    assert tokens[-1].statistics.stop_reason is StopReason.CONTEXT_FULL
    assert said(tokens) == said(plain)
    assert pair.session._cache.tokens == cache
    assert tokens[-1].statistics.draft_tokens > 0


def test_the_drafts_cache_keeps_in_step_across_turns(pair):
    first = generate(pair, QUESTION, GREEDY)
    model = pair.session._drafting.model
    before = list(model.cache.tokens)
    turns = (QUESTION, Message(Role.ASSISTANT, "".join(said(first))), QUESTIONS[1])
    list(pair.session.generate(Generate("", turns, GREEDY), pair.report, pair.stop))
    text = pair.session._cache.tokens
    assert common_length(before, text) >= len(before) - 32  # all but the last draft was not read again
    assert common_length(model.cache.tokens, text) > len(before)


def test_a_draft_that_fails_is_left_out_and_it_is_said(pair, monkeypatch):
    def fail(*_arguments):
        raise DecodeError("llama_decode returned -3")

    plain = said(generate(pair, QUESTION, GREEDY, speculative=False))
    monkeypatch.setattr(DraftModel, "guesses", fail)
    assert said(generate(pair, QUESTION, GREEDY)) == plain
    assert len(pair.report.of(Notice)) == 1
    assert said(generate(pair, QUESTION, GREEDY)) == plain
    assert len(pair.report.of(Notice)) == 1


def test_a_useless_draft_is_soon_left_alone(load, draft, tmp_path):
    pair = with_fixed_costs(load(draft=useless_file(draft, tmp_path / "useless.gguf")))
    guessed = []
    guesses = pair.session._drafting.model.guesses
    pair.session._drafting.model.guesses = lambda tokens: (guessed.append(1) or each for each in guesses(tokens))
    tokens = generate(pair, QUESTION, dataclasses.replace(GREEDY, max_tokens=300, ignore_end=True))
    figures = tokens[-1].statistics.drafting
    lost_ms = len(guessed) * 5.0 + figures.drafted_tokens * 32.0
    assert lost_ms < 0.03 * 300 * 80
    assert any(not event.is_on for event in pair.report.of(DraftFigures))


def test_prompt_lookup_drafts_what_repeats(load):
    loaded = with_fixed_costs(load(prompt_lookup=True))
    question = Message(Role.USER, "one two three four five six seven eight nine ten, " * 6)
    sampling = dataclasses.replace(GREEDY, ignore_end=True, max_tokens=200)
    tokens = generate(loaded, question, sampling)
    assert said(tokens) == said(generate(loaded, question, sampling, speculative=False))
    assert tokens[-1].statistics.draft_tokens > 50


def test_both_sources_work_together(load, draft):
    pair = with_fixed_costs(load(draft=draft, prompt_lookup=True))
    for question in QUESTIONS[:3]:
        sampling = dataclasses.replace(GREEDY, ignore_end=True, max_tokens=150)
        assert said(generate(pair, question, sampling)) == said(generate(pair, question, sampling, speculative=False))


def test_what_was_loaded_names_the_draft_and_counts_its_memory(load, draft):
    alone, loaded = load().session.loaded, load(draft=draft).session.loaded
    assert loaded.draft.path == draft
    assert loaded.draft.ms_per_token > 0
    assert loaded.need.draft_bytes == loaded.draft.need.resident_bytes > 2_900_000
    both = alone.need.resident_bytes + loaded.need.draft_bytes
    assert loaded.need.resident_bytes == pytest.approx(both, rel=1e-3)  # the vocabulary's memory is counted each time


def test_the_batches_are_measured_once_for_a_model(load, draft):
    first, second = load(draft=draft), load(draft=draft)
    assert any(event.stage is Stage.MEASURE_DRAFT for event in first.report.of(Progress))
    assert not any(event.stage is Stage.MEASURE_DRAFT for event in second.report.of(Progress))


@pytest.mark.parametrize("content", [None, b"", b"GGUF\3\0\0\0", b"nonsense" * 100])
def test_a_draft_that_is_no_model_is_left_out_with_a_sentence(load, tmp_path, content):
    path = tmp_path / "odd.gguf"
    if content is not None:
        path.write_bytes(content)
    loaded = load(draft=path)
    assert loaded.session.loaded.draft is None
    assert loaded.session.loaded.draft_problem.startswith("Loaded without the draft model odd: ")
    assert loaded.session.loaded.need.draft_bytes == 0
    assert generate(loaded, QUESTION, GREEDY)[-1].statistics.drafting is None


def test_a_draft_of_another_vocabulary_is_left_out_with_the_reason(load, draft, tmp_path):
    import gguf

    field = gguf.GGUFReader(draft).fields["tokenizer.ggml.tokens"]
    words = field.contents()
    words[139], words[140] = words[140], words[139]
    other = rewrite(draft, tmp_path / "other.gguf", tokenizer_ggml_tokens=words)
    assert "token 139 is different" in load(draft=other).session.loaded.draft_problem


def test_a_draft_deleted_while_loaded_goes_on_drafting(load, draft, tmp_path):
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(draft.read_bytes())
    pair = with_fixed_costs(load(draft=copy))
    copy.unlink()
    assert generate(pair, QUESTION, GREEDY)[-1].statistics.draft_tokens > 0


def test_figures_are_said_while_it_answers(pair):
    generate(pair, QUESTION, dataclasses.replace(GREEDY, max_tokens=100, ignore_end=True))
    said_so_far = [event.new_tokens for event in pair.report.of(DraftFigures)]
    assert said_so_far == sorted(said_so_far)
    assert 2 <= len(said_so_far) <= 100 / speculative._SAY_EVERY + 4
