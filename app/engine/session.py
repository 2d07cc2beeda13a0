"""One loaded model and the conversation in its KV cache: load, answer, switch, measure."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from app.engine import loading_marker, machine_record, threads
from app.engine.draft_loading import DraftPlan, DraftTarget, LoadedDrafting, load_drafting, plan_draft
from app.engine.drafting import Drafting
from app.engine.generation import AnswerClock, GenerationInput, Sampler, generate_plain
from app.engine.kv_cache import KvCache, KvStore
from app.engine.llama import LOG, Context, Model, ModelOptions
from app.engine.memory import context_tokens, memory_need, too_large
from app.engine.messages import (
    ConversationOpened,
    CountTokens,
    Generate,
    LoadModel,
    MemoryNeed,
    ModelLoaded,
    OpenConversation,
    PromptReady,
    Sampling,
    ThreadCounts,
    Token,
    TokenCount,
    TooLarge,
)
from app.engine.prompt import PromptBuilder
from app.engine.speculative import generate_speculative
from app.engine.threads import BusyNeighbours
from app.errors import Cancelled, LoadError, ModelFileError
from app.library.gguf_file import GgufHeader, model_name, read_header
from app.library.gguf_reader import printable
from app.operation import Notice, Progress, Report, Stage, StopFlag
from app.system.hardware import physical_cores, usable_cores
from app.system.paths import Paths

_WARM_UP_TOKENS = 64
"""llama.cpp's AMX kernels, the ones that kill the process on some machines, only run for batches of this size."""

_MEASURED_PREFILL_TOKENS = 32


class Session:
    """Made by `load`. Not for several threads; only the StopFlag may be set from another one."""

    def __init__(self, model: Model, context: Context, request: LoadModel, paths: Paths) -> None:
        self.model = model
        self._cache = KvCache(context)
        self._request = request
        self._machine = paths.machine
        self._prompts = PromptBuilder(model)
        self._told: set[str] = set()
        self._store = KvStore(paths.kv_cache, _cache_key(request), request.kv_disk_limit_bytes)
        self.conversation_id = ""
        self._threads = request.threads
        self._sources = LoadedDrafting()
        self.loaded: ModelLoaded

    @staticmethod
    def load(request: LoadModel, paths: Paths, report: Report, stop: StopFlag) -> Session | TooLarge:
        """Load the model and decode its first tokens.

        Raises ModelFileError, LoadError, TemplateError, or Cancelled after a stop. The header is checked before
        llama.cpp sees the file: it trusts much of what it reads, and aborts the process over the rest.

        Returns TooLarge, and loads nothing, where the memory that is available is not enough and `load_anyway` is not
        set. The loading marker tells what the process was at, should it die here.
        """
        start = time.perf_counter()
        header = _check_header(request.path)
        need = memory_need(request)
        plan = plan_draft(request, context_tokens(request.context_tokens, header.context_tokens))
        if plan.need is not None:
            need = dataclasses.replace(need, draft_bytes=plan.need.resident_bytes)
        if not request.load_anyway and (question := too_large(request, need)):
            return question
        safe_mode = request.safe_mode or machine_record.needs_safe_mode(paths.machine)
        with loading_marker.loading(paths.loading_marker, request.path, safe_mode) as stage:
            session = _load(request, paths, safe_mode, report, stop)
            try:
                stage.enter(Stage.WARM_UP)
                session._warm_up(safe_mode, report, stop)
                session._choose_threads(report, stop)
            except BaseException:
                session.close()
                raise
        # Outside the marker: a draft's death must not be taken for the model's.
        session._load_drafting(plan, safe_mode, paths, report, stop)
        session.loaded = session._describe(need, safe_mode, (time.perf_counter() - start) * 1000)
        return session

    def _tell_once(self, notice: str, report: Report) -> None:
        """Say what is so for every answer of this model at the first one alone."""
        if notice and notice not in self._told:
            self._told.add(notice)
            report(Notice(notice))

    def generate(
        self,
        request: Generate,
        report: Report,
        stop: StopFlag,
        make_sampler: Callable[[Model, Sampling, int], Sampler] = Sampler,
    ) -> Iterator[Token]:
        """Answer the last message; the last Token carries the statistics. Raises ContextError and TemplateError."""
        clock = AnswerClock()
        self._cache.context.abort_when(stop)
        self._switch_to(request.conversation_id)
        room = self._cache.context.context_tokens
        prompt = self._prompts.build(request.messages, self._cache.tokens, room - min(256, room // 4))
        report(PromptReady(len(prompt.tokens), prompt.reused, prompt.left_out_messages, room))
        self._tell_once(prompt.notice, report)
        self._adaptive.begin_answer()
        sampling = request.sampling
        seed = secrets.randbits(31) if sampling.seed is None else sampling.seed
        given = GenerationInput(
            model=self.model,
            cache=self._cache,
            prompt=prompt,
            sampling=sampling,
            seed=seed,
            sampler=make_sampler(self.model, sampling, seed),
            stop_strings=self._prompts.stop_strings,
            threads=self._adaptive,
            prefill_threads=self._threads.prefill,
        )
        drafting = self._drafting if request.speculative else None
        try:
            if drafting is None:
                yield from generate_plain(given, clock, report, stop)
            else:
                yield from generate_speculative(given, drafting, clock, report, stop)
        finally:
            self._keep_better_threads()

    def open_conversation(self, request: OpenConversation) -> ConversationOpened:
        """Save the cache of the conversation that is left and restore that of the one that is opened, if it is kept."""
        self._switch_to(request.conversation_id)
        return ConversationOpened(request.conversation_id, len(self._cache.tokens))

    @contextlib.contextmanager
    def insisting_on_drafts(self) -> Iterator[None]:
        """While the body runs, drafts are verified at every step, also where that is slower."""
        if self._drafting is not None:
            self._drafting.insist(True)
        try:
            yield
        finally:
            if self._drafting is not None:
                self._drafting.insist(False)

    def forget_conversation(self) -> None:
        """Empty the cache without saving it; what comes next belongs to no conversation."""
        self._cache.clear()
        self.conversation_id = ""

    def count_tokens(self, request: CountTokens) -> TokenCount:
        """Length of the conversation as a prompt. Raises TemplateError."""
        return TokenCount(self._prompts.count_tokens(request.messages), self._cache.context.context_tokens)

    def measure_threads(self, report: Report, stop: StopFlag) -> ThreadCounts:
        """Measure the fastest thread counts for models of this size, remember and use them. Raises Cancelled."""
        self._switch_to("")
        context = self._cache.context
        context.abort_when(stop)

        def decode_ms(count: int) -> float:
            context.set_threads(count, count)
            return self._time_ms([self._filler], stop)

        def prefill_ms(count: int) -> float:
            self._cache.clear()
            context.set_threads(count, count)
            return self._time_ms([self._filler] * _MEASURED_PREFILL_TOKENS, stop)

        try:
            candidates = threads.candidate_thread_counts(usable_cores(), physical_cores())
            counts = threads.measure(decode_ms, prefill_ms, candidates, report=report, should_stop=stop)
        finally:
            self._cache.clear()
        machine_record.remember_thread_counts(self._machine, self._size_class, counts)
        self._use_threads(counts)
        return self._threads

    def close(self) -> None:
        """Free the memory. Saves nothing."""
        if self._drafting is not None and self._drafting.model is not None:
            self._drafting.model.close()
        self._cache.context.close()
        self.model.close()

    @property
    def _size_class(self) -> str:
        return machine_record.size_class(self.model.weights_bytes)

    @property
    def _filler(self) -> int:
        """Any ordinary token, for measurements."""
        return max(self.model.bos, 0)

    @property
    def _drafting(self) -> Drafting | None:
        return self._sources.drafting

    def _load_drafting(self, plan: DraftPlan, safe_mode: bool, paths: Paths, report: Report, stop: StopFlag) -> None:
        """Raises Cancelled; the session is closed then."""
        target = DraftTarget(self.model, self._cache, self._threads, safe_mode)
        try:
            self._sources = load_drafting(self._request, plan, target, paths, report, stop)
        except BaseException:
            self.close()
            raise

    def _switch_to(self, conversation_id: str) -> None:
        if conversation_id == self.conversation_id:
            return
        if self.conversation_id:
            self._store.save(self.conversation_id, self._cache)
        self._cache.clear()
        self.conversation_id = conversation_id
        if conversation_id:
            self._store.restore(conversation_id, self._cache)

    def _warm_up(self, safe_mode: bool, report: Report, stop: StopFlag) -> None:
        """Decode a few tokens, and a whole batch where that has not gone well here before."""
        report(Progress(Stage.WARM_UP, 0, 1))
        self._cache.context.abort_when(stop)
        quantization = self.model.quantization
        proven = safe_mode or quantization in machine_record.verified_file_types(self._machine)
        self._cache.context.set_threads(physical_cores(), physical_cores())
        self._time_ms([self._filler] * (1 if proven else _WARM_UP_TOKENS), stop)
        self._cache.clear()
        if not proven:
            machine_record.remember_verified(self._machine, quantization)
        report(Progress(Stage.WARM_UP, 1, 1))

    def _choose_threads(self, report: Report, stop: StopFlag) -> None:
        wanted = self._request.threads
        if wanted.decode and wanted.prefill:
            self._use_threads(wanted)
        elif known := machine_record.thread_counts(self._machine, self._size_class):
            self._use_threads(known)
        else:
            self.measure_threads(report, stop)

    def _use_threads(self, measured: ThreadCounts) -> None:
        """Take the measured counts, except where the user set one."""
        wanted = self._request.threads
        self._threads = ThreadCounts(wanted.decode or measured.decode, wanted.prefill or measured.prefill)
        most = wanted.decode or usable_cores()
        self._adaptive = threads.AdaptiveThreads(self._threads.decode, most, BusyNeighbours())

    def _keep_better_threads(self) -> None:
        """Remember where an answer has shown more threads to be faster: the measurement came from a busy moment.

        So did that of prefill then, which always gains from at least as many. A count that the user set is used, but
        it is no measurement to remember.
        """
        if (best := self._adaptive.best) > self._threads.decode:
            known = machine_record.thread_counts(self._machine, self._size_class) or self._threads
            measured = ThreadCounts(best, max(best, known.prefill))
            machine_record.remember_thread_counts(self._machine, self._size_class, measured)
            self._threads = ThreadCounts(best, self._request.threads.prefill or measured.prefill)

    def _time_ms(self, tokens: list[int], stop: StopFlag) -> float:
        start = time.perf_counter()
        if self._cache.free_tokens < len(tokens):
            self._cache.clear()
        if not self._cache.extend(tokens) or stop():
            raise Cancelled
        return (time.perf_counter() - start) * 1000

    def _describe(self, need: MemoryNeed, safe_mode: bool, load_ms: float) -> ModelLoaded:
        model = self.model
        return ModelLoaded(
            path=self._request.path,
            name=model_name(self._request.path, model.metadata("general.name")),
            architecture=model.metadata("general.architecture"),
            quantization=model.quantization,
            parameters=model.parameters,
            context_tokens=self._cache.context.context_tokens,
            trained_context_tokens=model.trained_context_tokens,
            has_chat_template=self._prompts.has_template,
            need=need,
            threads=self._threads,
            safe_mode=safe_mode,
            load_ms=load_ms,
            draft=self._sources.draft,
            draft_problem=self._sources.problem,
            prompt_lookup=self._drafting is not None and self._drafting.lookup is not None,
        )


def _load(request: LoadModel, paths: Paths, safe_mode: bool, report: Report, stop: StopFlag) -> Session:
    """The weights and the context, without having decoded anything."""
    reported = -1

    def on_progress(share: float) -> bool:
        nonlocal reported
        percent = int(share * 100)
        if percent != reported:
            reported = percent
            report(Progress(Stage.LOAD, percent, 100))
        return not stop()

    LOG.clear()
    try:
        model = Model(request.path, ModelOptions(repack=not safe_mode), on_progress)
    except LoadError:
        if stop():
            raise Cancelled from None
        raise
    try:
        tokens = context_tokens(request.context_tokens, model.trained_context_tokens)
        context = Context(model, tokens, request.kv_type, request.flash_attention)
    except BaseException:
        model.close()
        raise
    try:
        return Session(model, context, request, paths)
    except BaseException:
        context.close()
        model.close()
        raise


def _check_header(path: Path) -> GgufHeader:
    """Raises ModelFileError. The sentence names the file: unlike in the list of models, nothing else does."""
    try:
        header = read_header(path)
        problem, hint = header.chat_problem, ""
    except ModelFileError as error:
        problem, hint = error.sentence, error.hint
    name = printable(path.name)
    if problem:
        raise ModelFileError(problem if name in problem else f"“{name}” cannot be loaded. {problem}", hint)
    return header


def _cache_key(request: LoadModel) -> str:
    """All that a saved KV cache depends on."""
    status = request.path.stat()
    return f"{request.path}|{status.st_size}|{status.st_mtime_ns}|{request.kv_type}|{request.flash_attention}"
