import dataclasses

import pytest

from app.engine import machine_record
from app.engine.loading_marker import read_marker
from app.engine.messages import (
    CountTokens,
    FlashAttention,
    KvType,
    LoadModel,
    Message,
    OpenConversation,
    PromptReady,
    Role,
    Sampling,
    StopReason,
    ThreadCounts,
    TooLarge,
)
from app.engine.session import Session
from app.engine.threads import AdaptiveThreads
from app.errors import Cancelled, ContextError, LoadError, ModelFileError
from app.operation import Progress, Stage, StopFlag
from app.system.paths import STARTER_MODEL
from tests.app.engine.conftest import GREEDY, QUESTION, Recorder


def assistant(text: str) -> Message:
    return Message(Role.ASSISTANT, text)


FOLLOW_UP = Message(Role.USER, "Show the signature of shutil.copy.")


def test_load_says_what_was_loaded(starter):
    loaded = starter.session.loaded
    assert (loaded.architecture, loaded.quantization, loaded.parameters) == ("llama", "Q8_0", 20_978_176)
    assert loaded.context_tokens == loaded.trained_context_tokens == 2048
    assert loaded.has_chat_template
    assert loaded.need.weights_bytes == 22_308_864
    assert loaded.need.kv_bytes == 6 * 2 * 256 * 2 * 2048  # layers x (K and V) x KV width x f16 x context
    stages = [event.stage for event in starter.report.of(Progress)]
    assert stages[0] is Stage.LOAD
    assert stages[-1] is Stage.WARM_UP


def test_the_kv_cache_type_changes_the_need(load):
    f16 = load(kv_type=KvType.F16).session.loaded.need.kv_bytes
    q8 = load(kv_type=KvType.Q8_0, flash_attention=FlashAttention.ON).session.loaded.need.kv_bytes
    assert q8 / f16 == pytest.approx(34 / 64, rel=1e-2)  # a block of 32 takes 34 bytes instead of 64


def test_a_quantized_cache_without_flash_attention_is_refused_with_the_way_out(load):
    with pytest.raises(LoadError, match="needs flash attention") as refused:
        load(kv_type=KvType.Q4_0, flash_attention=FlashAttention.OFF)
    assert "auto" in refused.value.hint


def test_the_model_answers(starter):
    text, last = starter.answer(QUESTION)
    assert "path" in text
    assert last.statistics.stop_reason in (StopReason.END, StopReason.MAX_TOKENS)
    assert last.statistics.prompt_tokens > 0
    assert last.statistics.new_tokens == len(starter.tokens(QUESTION)) - 1


def test_greedy_is_repeatable_and_ignores_the_seed(starter):
    first, _ = starter.answer(QUESTION, sampling=dataclasses.replace(GREEDY, seed=1))
    second, _ = starter.answer(QUESTION, sampling=dataclasses.replace(GREEDY, seed=2))
    assert first == second


def test_the_same_seed_gives_the_same_text_and_another_seed_another(starter):
    hot = Sampling(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, seed=7, max_tokens=40)
    first, last = starter.answer(QUESTION, sampling=hot)
    assert last.statistics.seed == 7
    assert starter.answer(QUESTION, sampling=hot)[0] == first
    assert starter.answer(QUESTION, sampling=dataclasses.replace(hot, seed=8))[0] != first


def test_an_unset_seed_is_drawn_and_reported(starter):
    hot = Sampling(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, max_tokens=40)
    text, last = starter.answer(QUESTION, sampling=hot)
    again, _ = starter.answer(QUESTION, sampling=dataclasses.replace(hot, seed=last.statistics.seed))
    assert again == text


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}])
def test_each_filter_alone_can_narrow_the_choice_to_the_greedy_one(starter, narrow):
    wide = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 7, "max_tokens": 40}
    greedy, _ = starter.answer(QUESTION)
    assert starter.answer(QUESTION, sampling=Sampling(**wide | narrow))[0] == greedy
    assert starter.answer(QUESTION, sampling=Sampling(**wide))[0] != greedy


def test_the_repeat_penalty_changes_a_greedy_answer(starter):
    plain, _ = starter.answer(QUESTION)
    penalised, _ = starter.answer(QUESTION, sampling=dataclasses.replace(GREEDY, repeat_penalty=1.8))
    assert penalised != plain


def test_maximum_tokens(starter):
    _, last = starter.answer(QUESTION, sampling=Sampling(temperature=0, max_tokens=3))
    assert (last.statistics.stop_reason, last.statistics.new_tokens) == (StopReason.MAX_TOKENS, 3)


def test_stop_string(starter):
    whole, _ = starter.answer(QUESTION)
    stop = whole[10:14]
    text, last = starter.answer(QUESTION, sampling=dataclasses.replace(GREEDY, stop=(stop,)))
    assert text == whole[: whole.index(stop)]
    assert last.statistics.stop_reason is StopReason.STOP_STRING


def test_the_second_turn_reads_only_what_is_new(starter):
    answer, last = starter.answer(QUESTION, sampling=Sampling(temperature=0))
    assert last.statistics.stop_reason is StopReason.END
    in_cache = last.statistics.prompt_tokens + last.statistics.new_tokens
    _, second = starter.answer(QUESTION, assistant(answer), FOLLOW_UP)
    assert second.statistics.reused_tokens == in_cache
    ready = starter.report.of(PromptReady)[0]
    assert (ready.reused_tokens, ready.prompt_tokens) == (in_cache, second.statistics.prompt_tokens)


def test_reusing_the_cache_does_not_change_the_answer(starter):
    answer, _ = starter.answer(QUESTION)
    reused, _ = starter.answer(QUESTION, assistant(answer), FOLLOW_UP)
    fresh, last = starter.answer(QUESTION, assistant(answer), FOLLOW_UP, conversation="another")
    assert last.statistics.reused_tokens == 0
    assert fresh == reused


def test_generated_ids_are_kept_even_where_tokenising_the_text_again_gives_others(starter):
    for seed in range(20):
        hot = Sampling(temperature=3.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed, max_tokens=60)
        answer, last = starter.answer(QUESTION, sampling=hot)
        generated = starter.session._cache.tokens[last.statistics.prompt_tokens :]
        if starter.session.model.tokenize(answer, add_bos=False)[: len(generated)] != generated:
            break
    else:
        pytest.fail("no seed generates what tokenising would split otherwise")
    _, second = starter.answer(QUESTION, assistant(answer), FOLLOW_UP)
    assert second.statistics.reused_tokens == last.statistics.prompt_tokens + len(generated)


def test_an_edited_message_keeps_what_is_before_it(starter):
    first, _ = starter.answer(QUESTION)
    starter.answer(QUESTION, assistant(first), FOLLOW_UP)
    _, last = starter.answer(QUESTION, assistant(first), Message(Role.USER, "What does os.path.split do?"))
    assert 0 < last.statistics.reused_tokens < last.statistics.prompt_tokens


def test_the_oldest_messages_are_left_out_and_that_is_said(starter):
    turns = []
    for number in range(40):
        turns += [Message(Role.USER, f"{number}: {QUESTION.content} " * 4), assistant("It joins paths. " * 4)]
    system = Message(Role.SYSTEM, "Be brief.")
    _, last = starter.answer(system, *turns, QUESTION, sampling=Sampling(temperature=0, max_tokens=1))
    ready = starter.report.of(PromptReady)[0]
    assert ready.left_out_messages == last.statistics.left_out_messages > 0
    assert ready.left_out_messages % 2 == 0
    assert ready.prompt_tokens <= 2048 - 256
    kept = b"".join(map(starter.session.model.piece, starter.session._cache.tokens)).decode()
    assert "Be brief." in kept
    assert QUESTION.content in kept
    assert "user\n0: What" not in kept


def test_a_last_message_that_cannot_fit_is_an_error_in_words(starter):
    with pytest.raises(ContextError, match="too long"):
        starter.tokens(Message(Role.USER, "word " * 4000))
    assert starter.answer(QUESTION)[0]


def test_an_answer_that_reaches_the_end_of_the_context_says_so(load):
    small = load(context_tokens=256)
    endless = Sampling(temperature=0.0, ignore_end=True)
    _, last = small.answer(Message(Role.USER, "Explain " * 60), sampling=endless)
    assert last.statistics.stop_reason is StopReason.CONTEXT_FULL
    assert last.statistics.prompt_tokens + last.statistics.new_tokens == 257, "the last one is not in the cache"


def test_stop_while_decoding_keeps_the_session_usable(starter):
    request_tokens = starter.session.generate
    whole, _ = starter.answer(QUESTION)
    stream = request_tokens(_generate(QUESTION), starter.report, starter.stop)
    shown = [next(stream), next(stream)]
    starter.stop.set()
    rest = list(stream)
    assert rest[-1].statistics.stop_reason is StopReason.STOPPED
    assert len(shown) + len(rest) <= 4
    starter.stop.clear()
    assert starter.answer(QUESTION)[0] == whole


def test_stop_while_reading_the_prompt(starter):
    whole, _ = starter.answer(QUESTION)
    starter.report.on_event = lambda event: starter.stop.set() if isinstance(event, Progress) else None
    long = Message(Role.USER, "word " * 700)
    tokens = starter.tokens(long, conversation="other")
    assert [token.statistics.stop_reason for token in tokens] == [StopReason.STOPPED]
    assert starter.session._cache.tokens == []
    starter.report.on_event = lambda event: None
    starter.stop.clear()
    assert starter.answer(QUESTION)[0] == whole


def test_closing_the_generator_early_is_a_safe_stop(starter):
    whole, _ = starter.answer(QUESTION)
    stream = starter.session.generate(_generate(QUESTION), starter.report, starter.stop)
    next(stream)
    stream.close()
    assert starter.answer(QUESTION)[0] == whole


def test_stop_while_loading(paths):
    stop = StopFlag()
    report = Recorder()
    report.on_event = lambda event: stop.set()
    with pytest.raises(Cancelled):
        Session.load(LoadModel(STARTER_MODEL, load_anyway=True), paths, report, stop)
    assert read_marker(paths.loading_marker) is None


def test_a_conversation_left_and_opened_again_is_not_read_again(starter):
    answer, _ = starter.answer(QUESTION)
    in_cache = len(starter.session._cache.tokens)
    starter.answer(FOLLOW_UP, conversation="two")
    opened = starter.session.open_conversation(OpenConversation("one"))
    assert opened.restored_tokens == in_cache
    _, second = starter.answer(QUESTION, assistant(answer), FOLLOW_UP)
    assert second.statistics.reused_tokens == in_cache


def test_the_saved_cache_survives_the_program(load):
    first = load()
    answer, _ = first.answer(QUESTION)
    first.session.open_conversation(OpenConversation(""))
    in_memory, _ = first.answer(QUESTION, assistant(answer), FOLLOW_UP, conversation="fresh")
    second = load()
    restored, last = second.answer(QUESTION, assistant(answer), FOLLOW_UP)
    assert last.statistics.reused_tokens > 0
    assert restored == in_memory


def test_a_cache_of_another_type_is_not_restored(load):
    first = load()
    first.answer(QUESTION)
    first.session.open_conversation(OpenConversation(""))
    other = load(kv_type=KvType.Q8_0, flash_attention=FlashAttention.ON)
    assert other.session.open_conversation(OpenConversation("one")).restored_tokens == 0


@pytest.mark.parametrize("damage", ["cut", "rubbish", "empty"])
def test_a_damaged_saved_cache_is_read_again_instead(load, paths, damage):
    first = load()
    whole, _ = first.answer(QUESTION)
    first.session.open_conversation(OpenConversation(""))
    (file,) = paths.kv_cache.glob("*.kv")
    data = file.read_bytes()
    file.write_bytes({"cut": data[: len(data) // 2], "rubbish": b"\x07" * 4096, "empty": b""}[damage])
    second = load()
    assert second.session.open_conversation(OpenConversation("one")).restored_tokens == 0
    assert not file.exists()
    assert second.answer(QUESTION)[0] == whole


def test_a_cache_is_saved_even_where_its_folder_has_gone(starter, paths):
    paths.kv_cache.rmdir()
    starter.answer(QUESTION)
    starter.session.open_conversation(OpenConversation(""))
    assert starter.session.open_conversation(OpenConversation("one")).restored_tokens > 0


def test_saved_caches_stay_below_the_limit(load, paths):
    limited = load(kv_disk_limit_bytes=3_000_000)
    for name in ("one", "two", "three", "four"):
        limited.answer(QUESTION, conversation=name)
    limited.session.open_conversation(OpenConversation(""))
    files = list(paths.kv_cache.glob("*.kv"))
    assert 0 < sum(file.stat().st_size for file in files) <= 3_000_000
    assert any("four" in file.name for file in files)


def test_count_tokens_is_the_length_of_the_prompt(starter):
    counted = starter.session.count_tokens(CountTokens((QUESTION,)))
    _, last = starter.answer(QUESTION)
    assert counted.tokens == last.statistics.prompt_tokens


def test_a_model_larger_than_memory_is_a_question_with_the_arithmetic(paths, monkeypatch):
    monkeypatch.setattr("app.engine.memory.available_memory_bytes", lambda: 50_000_000)
    asked = Session.load(LoadModel(STARTER_MODEL), paths, Recorder(), StopFlag())
    assert isinstance(asked, TooLarge)
    assert asked.available_bytes == 50_000_000
    assert "22.3 MB for the weights" in asked.sentence
    assert "50.0 MB of memory are free" in asked.sentence


def test_safe_mode_is_used_once_it_is_remembered(load, paths):
    assert not load().session.loaded.safe_mode
    machine_record.remember_safe_mode(paths.machine, "SIGSEGV in the first decode")
    safe = load()
    assert safe.session.loaded.safe_mode
    assert "path" in safe.answer(QUESTION)[0]


def test_thread_counts_are_measured_once_and_remembered(load, paths):
    first = load(threads=ThreadCounts())
    assert first.report.of(Progress)[-1].stage is Stage.MEASURE_THREADS
    second = load(threads=ThreadCounts())
    assert Stage.MEASURE_THREADS not in [event.stage for event in second.report.of(Progress)]
    assert second.session.loaded.threads == first.session.loaded.threads
    assert second.session.loaded.threads.decode >= 1


def test_the_user_s_thread_count_wins(load, paths):
    machine_record.remember_thread_counts(paths.machine, machine_record.size_class(22_308_864), ThreadCounts(2, 2))
    assert load(threads=ThreadCounts(1, 0)).session.loaded.threads == ThreadCounts(1, 2)


def test_a_correction_of_the_measurement_does_not_remember_what_the_user_set(load, paths, monkeypatch):
    size_class = machine_record.size_class(22_308_864)
    machine_record.remember_thread_counts(paths.machine, size_class, ThreadCounts(1, 4))
    loaded = load(threads=ThreadCounts(0, 1))
    monkeypatch.setattr(AdaptiveThreads, "best", property(lambda self: 2))
    loaded.answer(QUESTION)
    assert machine_record.thread_counts(paths.machine, size_class) == ThreadCounts(2, 4)
    assert loaded.session._threads == ThreadCounts(2, 1)


def test_llama_cpp_never_sees_a_header_that_is_not_sound(paths, tmp_path):
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelFileError, match=r"“bad.gguf” cannot be loaded\. .*version 0"):
        Session.load(LoadModel(bad), paths, Recorder(), StopFlag())
    assert read_marker(paths.loading_marker) is None


def _generate(*messages: Message):
    from app.engine.messages import Generate

    return Generate("one", messages, GREEDY)


@pytest.mark.parametrize("context_tokens", [5, 300])
def test_a_context_that_llama_cpp_rounds_up_is_filled_in_batches_it_allows(load, context_tokens):
    loaded = load(context_tokens=context_tokens)  # 300 becomes 512, with batches of 300 at most
    long_question = Message(Role.USER, "path " * 330)
    messages = (QUESTION,) if context_tokens < 256 else (long_question,)
    _, last = loaded.answer(*messages)
    assert last.statistics.new_tokens > 0
    assert last.statistics.prompt_tokens < loaded.session.loaded.context_tokens


def test_a_model_is_called_what_the_list_of_models_calls_it(load, tmp_path):
    file = tmp_path / "mine.gguf"
    file.write_bytes(STARTER_MODEL.read_bytes())
    assert load(path=file).session.loaded.name == "mine"
