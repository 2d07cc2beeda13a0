"""The sentence about a file, and which file of several to take on this computer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.engine.messages import KvType, MachineSpeed
from app.fit.judgement import Judgement, MemoryBudget, main_type
from app.fit.speed import predicted_ms
from app.fit.verdict import FitVerdict, Verdict, judge
from app.library.tensor_types import TENSOR_TYPES
from app.units import size_text

_BITS = {kind.name: 8 * kind.block_bytes / kind.block for kind in TENSOR_TYPES.values()}
_GOOD_ENOUGH_BITS = 8.6
"""Q8_0 cannot be told from the original; more bits cost memory and time and change no answer."""
_LEAST_BITS = 3.9
"""Below 4 bits answers become noticeably worse: only taken where nothing else fits."""


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
    """By what is shown: "about 200 ms" does not miss 200 ms."""
    return choice.ms_per_token is None or _two_figures(choice.ms_per_token) <= target_ms


def _two_figures(ms: float) -> float:
    step = 10.0 ** (math.floor(math.log10(ms)) - 1) if ms > 0 else 1.0
    return round(ms / step) * step


def _and_speed(choice: Choice) -> str:
    return "" if choice.ms_per_token is None else f" and should take about {ms_text(choice.ms_per_token)} a token"
