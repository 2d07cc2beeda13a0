"""Does it fit? From the engine's own figures (`judge`), or at a glance from a header alone, where only what is certain
is said: "fits" of a bound that is too high on purpose, "too big" of the weights alone, and all between is "tight".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.engine.curve import FitCurve
from app.engine.messages import KvType, MachineSpeed, MemoryNeed
from app.fit.judgement import Judgement, MemoryBudget, main_type
from app.fit.speed import predicted_ms
from app.library.gguf_file import GgufHeader
from app.library.tensor_types import TENSOR_TYPES
from app.system.hardware import available_memory_bytes, total_memory_bytes
from app.units import size_text

_BYTES_AN_ELEMENT = {KvType.F16: 2.0, KvType.Q8_0: 1.0625, KvType.Q4_0: 0.5625}
_BATCH_TOKENS = 512
"""llama.cpp computes the logits of at most so many tokens at once."""
_SPARE_BYTES = 300_000_000


class Verdict(StrEnum):
    """The verdict in the user's words."""

    FITS = "fits"
    TIGHT = "tight"
    TOO_BIG_NOW = "too big now"
    TOO_BIG = "too big"


_COMFORT = 0.9
"""A share of what is free: above it the verdict is "tight"."""


@dataclass(frozen=True, slots=True)
class FitVerdict:
    """Two questions at one context: does it fit now, and does it fit this machine once other programs are closed.

    `verdict` is both in one word. The largest contexts are 0 where not even the smallest fits.
    """

    verdict: Verdict
    need: MemoryNeed
    context_tokens: int
    largest_context_now: int
    largest_context_machine: int

    @property
    def fits_now(self) -> bool:
        """It could be loaded at once."""
        return self.verdict in (Verdict.FITS, Verdict.TIGHT)

    @property
    def fits_machine(self) -> bool:
        """It could be loaded with other programs closed."""
        return self.verdict is not Verdict.TOO_BIG


def judge(curve: FitCurve, context_tokens: int, kv_type: KvType, budget: MemoryBudget) -> FitVerdict:
    """The verdict at this context, or at the longest the model was trained for. No engine is asked: a slider may call
    this at every step. Raises KeyError for a KV type without points.
    """
    if curve.trained_context_tokens:
        context_tokens = min(context_tokens, curve.trained_context_tokens)
    need = curve.need(context_tokens, kv_type)
    wanted = need.resident_bytes
    if wanted <= budget.now_bytes:
        verdict = Verdict.FITS if wanted <= budget.now_bytes * _COMFORT else Verdict.TIGHT
    else:
        verdict = Verdict.TOO_BIG_NOW if wanted <= budget.machine_bytes else Verdict.TOO_BIG
    now = curve.largest_context(kv_type, budget.now_bytes)
    machine = curve.largest_context(kv_type, budget.machine_bytes)
    return FitVerdict(verdict, need, context_tokens, now, machine)


def arithmetic(verdict: FitVerdict, budget: MemoryBudget) -> tuple[tuple[str, int], ...]:
    """The sum behind a verdict: (what, bytes) in the order in which it is added up."""
    need = verdict.need
    return (
        ("Weights", need.weights_bytes),
        (f"Conversation of {verdict.context_tokens:,} tokens (KV cache)", need.kv_bytes),
        ("Buffers to compute in", need.compute_bytes),
        ("The engine itself, with the vocabulary", need.engine_bytes),
        ("Needed in all", need.resident_bytes),
        ("Free now", budget.now_bytes),
        ("This computer can give at most", budget.machine_bytes),
    )


def at_a_glance(
    header: GgufHeader, context_tokens: int, kv_type: KvType, available_bytes: int, total_bytes: int
) -> Verdict:
    """The verdict on loading this file with that context, with so much memory available now and in the machine."""
    if header.tensor_bytes > total_bytes:
        return Verdict.TOO_BIG
    if header.tensor_bytes > available_bytes:
        return Verdict.TOO_BIG_NOW
    return Verdict.FITS if upper_bound_bytes(header, context_tokens, kv_type) <= available_bytes else Verdict.TIGHT


def upper_bound_bytes(header: GgufHeader, context_tokens: int, kv_type: KvType) -> int:
    """More than it will take: heads may be twice as wide as embedding / heads says, so the KV cache counts twice."""
    tokens = min(context_tokens or 8192, header.context_tokens or context_tokens or 8192)
    head_width = header.embedding / max(1, header.heads)
    elements = 2 * header.layers * max(1, header.kv_heads or header.heads) * head_width * tokens
    buffers = _BATCH_TOKENS * 4 * (header.vocabulary + 8 * header.embedding)
    return int(header.tensor_bytes + 2 * elements * _BYTES_AN_ELEMENT[kv_type] + buffers + _SPARE_BYTES)


# How much memory a model may take here: what the system, the window and other programs need is not offered.


SYSTEM_SHARE = 0.10
SYSTEM_LEAST_BYTES = 1_500_000_000
"""What a desktop takes with nothing open but this window, and no less than a tenth."""
SPARE_BYTES = 150_000_000
"""The bytes that stay free. Of what is available now this much stays free: the last megabytes are where a system
begins to swap.
"""


def memory_budget(given_back_bytes: int = 0) -> MemoryBudget:
    """The budget of this machine. `given_back_bytes` is what the model that is loaded now would free."""
    return budget_of(total_memory_bytes(), available_memory_bytes() + given_back_bytes)


def budget_of(total_bytes: int, available_bytes: int) -> MemoryBudget:
    """The budget where so much memory is built in (or allowed by a cgroup) and so much is available."""
    system = max(SYSTEM_LEAST_BYTES, int(total_bytes * SYSTEM_SHARE))
    machine = max(0, total_bytes - system)
    now = max(0, available_bytes - SPARE_BYTES)
    return MemoryBudget(max(machine, now), now)


# The sentence about a file, and which file of several to take on this computer.


_BITS = {kind.name: 8 * kind.block_bytes / kind.block for kind in TENSOR_TYPES.values()}
_GOOD_ENOUGH_BITS = 8.6
"""Q8_0 cannot be told from the original; more bits cost memory and time and change no answer."""
_LEAST_BITS = 3.9
"""The least bits a weight: below 4 bits answers become noticeably worse: only taken where nothing else fits."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One file as the user meets it. Without a verdict `problem` says why: not known, or refused."""

    key: str
    label: str
    size_bytes: int
    verdict: FitVerdict | None = None
    ms_per_token: float | None = None
    problem: str = ""
    refused: bool = False
    """Nothing can be made of these original weights."""

    @property
    def bits(self) -> float:
        """A weight's, by the name of the quantization."""
        return _BITS.get(main_type(self.label), 16.0)


def choice_of(
    judgement: Judgement,
    label: str,
    size_bytes: int,
    context_tokens: int,
    kv_type: KvType,
    budget: MemoryBudget,
    speed: MachineSpeed | None,
) -> Choice:
    """The file at this context on this machine. Half the context is taken to be filled when its speed is predicted."""
    if judgement.curve is None or judgement.problem:
        refused = judgement.made is not None and judgement.made.refused
        return Choice(
            judgement.key, label, size_bytes, problem=judgement.problem or "It cannot be told.", refused=refused
        )
    verdict = judge(judgement.curve, context_tokens, kv_type, budget)
    ms = None
    if speed is not None and judgement.reads is not None:
        ms = predicted_ms(judgement.reads, verdict.need.kv_bytes // 2, speed)
    return Choice(judgement.key, label, size_bytes, verdict, ms)


def best(choices: Sequence[Choice], target_ms: float) -> Choice | None:
    """Which one to take: of those that fit now (else: this machine) the one with the most bits a weight up to Q8_0
    that keeps the target; where none keeps it, the fastest. None where nothing fits.
    """
    fitting = [choice for choice in choices if choice.verdict is not None and choice.verdict.fits_now]
    fitting = fitting or [choice for choice in choices if choice.verdict is not None and choice.verdict.fits_machine]
    return _best_of(fitting, target_ms) if fitting else None


def _best_of(fitting: list[Choice], target_ms: float) -> Choice:
    fast = [choice for choice in fitting if _keeps(choice, target_ms)]
    if not fast:
        return min(fitting, key=lambda choice: choice.ms_per_token or math.inf)
    usual = [choice for choice in fast if _LEAST_BITS <= choice.bits <= _GOOD_ENOUGH_BITS]
    if not usual and any(choice.bits > _GOOD_ENOUGH_BITS for choice in fast):
        return min(
            (choice for choice in fast if choice.bits > _GOOD_ENOUGH_BITS),
            key=lambda choice: (choice.bits, choice.size_bytes),
        )
    return max(usual or fast, key=lambda choice: (choice.bits, -choice.size_bytes))


def sentence(choice: Choice, budget: MemoryBudget, target_ms: float) -> str:
    """ "Q4_K_M needs 5.1 GB of your 9.3 GB free and should take about 140 ms a token." """
    if choice.refused:
        return f"{choice.label}: cannot be converted. {choice.problem}"
    if choice.verdict is None:
        return f"{choice.label}: cannot tell. {choice.problem}"
    needed, free = size_text(choice.verdict.need.resident_bytes), size_text(budget.now_bytes)
    if choice.verdict.verdict is Verdict.TOO_BIG:
        most = size_text(budget.machine_bytes)
        return f"{choice.label} needs {needed}: too big for this computer, which can give {most} at most."
    if choice.verdict.verdict is Verdict.TOO_BIG_NOW:
        return f"{choice.label} needs {needed}; only {free} are free now. Close other programs first."
    tight = " (tight)" if choice.verdict.verdict is Verdict.TIGHT else ""
    if choice.ms_per_token is not None and not _keeps(choice, target_ms):
        ms = ms_text(choice.ms_per_token)
        return f"{choice.label} fits{tight}, but at about {ms} a token it misses your {target_ms:.0f} ms."
    speed = _and_speed(choice)
    return f"{choice.label} needs {needed} of your {free} free{tight}{speed}."


def ms_text(ms: float) -> str:
    """Two figures: a prediction has no more."""
    return f"{ms:.1f} ms" if ms < 10 else f"{_two_figures(ms):,.0f} ms"


def _keeps(choice: Choice, target_ms: float) -> bool:
    """Whether a choice keeps to the target, by what is shown: "about 200 ms" does not miss 200 ms."""
    return choice.ms_per_token is None or _two_figures(choice.ms_per_token) <= target_ms


def _two_figures(ms: float) -> float:
    step = 10.0 ** (math.floor(math.log10(ms)) - 1) if ms > 0 else 1.0
    return round(ms / step) * step


def _and_speed(choice: Choice) -> str:
    return "" if choice.ms_per_token is None else f" and should take about {ms_text(choice.ms_per_token)} a token"
