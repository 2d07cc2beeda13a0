"""How many threads: measured once on this machine, and adapted while generating. Pure logic; times come from outside.

Why not simply all cores: threads meet at a barrier some hundred times a token and wait for the slowest, so that one
thread whose core is taken by another program holds up all (ggml PR 13079; Ollama issue 9306: 16 threads 0.83 tokens/s,
7 threads 6.56).
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import psutil

from app.engine.messages import ThreadCounts
from app.errors import Cancelled
from app.operation import Progress, Report, ShouldStop, Stage

_BUDGET_MS = 10_000.0
_ROUNDS = 6
_ROUNDS_FOR_ALL = 2

_TIE = 1.02
"""Fewer threads win within this ratio: they leave more of the machine to others and are disturbed less."""
_HOPELESS = 1.4
"""A count this much slower than the best is not measured again."""


def candidate_thread_counts(usable_cores: int, physical_cores: int) -> tuple[int, ...]:
    """The counts worth measuring, the likeliest first: physical cores, all, half and three quarters, between, few."""
    physical = max(1, min(physical_cores, usable_cores))
    counts = (
        physical,
        usable_cores,
        physical // 2,
        physical * 3 // 4,
        (physical + usable_cores) // 2,
        physical - 1,
        2,
        1,
    )
    return tuple(dict.fromkeys(count for count in counts if 1 <= count <= usable_cores))


def measure(
    decode_ms: Callable[[int], float],
    prefill_ms: Callable[[int], float],
    candidates: Sequence[int],
    budget_s: float = _BUDGET_MS / 1000,
    report: Report = lambda event: None,
    should_stop: ShouldStop = lambda: False,
) -> ThreadCounts:
    """The fastest counts for decode and for prefill. Raises Cancelled after a stop.

    `decode_ms(count)` runs one token with that many threads, `prefill_ms(count)` a batch, and both return ms. Decode
    and prefill and the candidates of each take turns, so that a disturbance falls on all of them; the lower quartiles
    are compared, because other programs only ever make it slower. The budget is of the measured time; at least one
    candidate is measured for each.
    """
    contests = (
        _Contest(decode_ms, candidates, budget_s * 500, samples_a_visit=3),
        _Contest(prefill_ms, candidates, budget_s * 500, samples_a_visit=1),
    )
    for number in range(_ROUNDS):
        for contest in contests:
            contest.run_round(number, should_stop)
        report(Progress(Stage.MEASURE_THREADS, number + 1, _ROUNDS))
    decode, prefill = (contest.winner() for contest in contests)
    return ThreadCounts(decode, prefill)


@dataclass(slots=True)
class _Contest:
    """Candidates measured in turns until the budget is used up."""

    run_ms: Callable[[int], float]
    candidates: Sequence[int]
    budget_ms: float
    samples_a_visit: int
    spent_ms: float = 0.0
    times: dict[int, list[float]] = field(default_factory=dict)

    def run_round(self, number: int, should_stop: ShouldStop) -> None:
        """Visit those that still have a chance and fit in the budget. Raises Cancelled."""
        remaining = self.candidates if number < _ROUNDS_FOR_ALL else self._promising()
        for count in remaining if number % 2 == 0 else reversed(remaining):
            if should_stop():
                raise Cancelled
            if not self.times or self._visit_estimate_ms(count) <= self.budget_ms - self.spent_ms:
                self._visit(count)

    def winner(self) -> int:
        """The fewest threads among the fastest."""
        best = min(map(_undisturbed_ms, self.times.values()))
        return min(count for count, times in self.times.items() if _undisturbed_ms(times) <= best * _TIE)

    def _visit(self, count: int) -> None:
        # The first run after a change makes or wakes threads and is not counted.
        for counted in (False, *[True] * self.samples_a_visit):
            ms = self.run_ms(count)
            self.spent_ms += ms
            if counted:
                self.times.setdefault(count, []).append(ms)

    def _visit_estimate_ms(self, count: int) -> float:
        known = self.times.get(count) or min(self.times.values(), key=_undisturbed_ms)
        return _undisturbed_ms(known) * (self.samples_a_visit + 1)

    def _promising(self) -> list[int]:
        best = min(map(_undisturbed_ms, self.times.values()))
        return [count for count in self.times if _undisturbed_ms(self.times[count]) <= best * _HOPELESS]


def _undisturbed_ms(times: list[float]) -> float:
    return sorted(times)[len(times) // 4]


_RECENT = 7
"""Tokens whose median is "now": three spikes among them change nothing."""
_BASELINE = 32
"""Tokens before those whose median is "before". They move along, so that the slow growth of ms with the context is
never a jump."""
_JUMP = 1.5
_RELIEF = 0.75
_TRIAL = 4
_BETTER = 0.93
"""A trial with fewer threads must gain this much; one back to the measured count only must not lose."""
_MUCH_BETTER = 0.85
"""A trial above the measured count must gain this much: it corrects the measurement."""
_WAIT = 16
_LONGEST_WAIT = 128
_WAIT_ABOVE = 24
_LONGEST_WAIT_ABOVE = 4096
"""A share of the usual time: above the measured count a first trial comes soon, because that count may come from a
busy moment; each that fails
makes the next wait four times as long."""
_NOT_DECODED = 0.25
"""A share: below it of the usual time no token was decoded: the first of an answer comes from the prompt's
logits.
"""


@dataclass(slots=True)
class _Trial:
    """Some tokens at another count, and what they must beat."""

    level: int
    ms_to_beat: float
    samples: list[float] = field(default_factory=list)
    settled: bool = False

    def observe(self, ms: float) -> bool | None:
        """Whether the trial won; None while it goes on. The first token after a change of threads does not count."""
        if not self.settled:
            self.settled = True
            return None
        self.samples.append(ms)
        if len(self.samples) == 2 and min(self.samples) > self.ms_to_beat * _JUMP:
            return False
        return None if len(self.samples) < _TRIAL else median(self.samples) <= self.ms_to_beat


class AdaptiveThreads:
    """Chooses the threads for each token from the ms of those before.

    It stays at the measured count while tokens come as fast as they did. When the median of the last few jumps, or
    other programs are known to be busy, it tries fewer for a few tokens, keeps what was better and goes on from there;
    afterwards it tries more again, soon when there is a sign that the machine is free and ever more rarely when trials
    fail. A trial costs about five tokens, so that a wrong guess is never kept for longer.

    `busy_cores()`, where given, says how many cores other programs use. It only causes trials; times decide.
    """

    def __init__(self, measured: int, usable_cores: int, busy_cores: Callable[[], float] = lambda: 0.0) -> None:
        self._ladder = _ladder(measured, usable_cores)
        self._measured_level = self._ladder.index(measured)
        self._level = self._measured_level
        self._busy_cores = busy_cores
        self._times: deque[float] = deque(maxlen=_BASELINE + _RECENT)
        self._trial: _Trial | None = None
        self._usual_ms: float | None = None
        """The usual time before the jump that has not been mended yet; None without one."""
        self._since_trial = 0
        self._since_above = 0
        self._wait = _WAIT
        self._wait_above = _WAIT_ABOVE
        self._was_busy = False
        self._left_out = False

    @property
    def best(self) -> int:
        """The measured count, or a higher one that has proved better since: worth remembering."""
        return self._ladder[self._measured_level]

    @property
    def current(self) -> int:
        """Threads for the next token."""
        return self._ladder[self._trial.level if self._trial else self._level]

    def begin_answer(self) -> None:
        """Start from the measured count again: what was busy during the last answer may have ended since.

        Where it has not, and it is told so, fewer are tried as soon as there is something to compare with.
        """
        self._level, self._trial, self._usual_ms = self._measured_level, None, None
        self._times.clear()
        self._since_trial = self._wait = _WAIT
        self._was_busy = self._left_out = False

    def observe(self, ms: float) -> int:
        """Take the ms of the token decoded with `current` threads; the threads for the next one."""
        if self._is_no_decode(ms):
            return self.current
        if self._trial is not None:
            self._judge(self._trial, self._trial.observe(ms))
            return self.current
        self._times.append(ms)
        self._since_trial += 1
        self._since_above += 1
        if len(self._times) >= _RECENT and (level := self._level_worth_trying()) is not None:
            self._begin_trial(level, self._now_ms())
        return self.current

    def _is_no_decode(self, ms: float) -> bool:
        """A single time that is far too short. Two in a row are the truth: the machine got that much faster."""
        seen = len(self._times) >= _RECENT and ms < _NOT_DECODED * median(self._times)
        self._left_out = seen and not self._left_out
        return self._left_out

    def _level_worth_trying(self) -> int | None:
        busy = self._busy_cores() >= 0.5
        freed, self._was_busy = self._was_busy and not busy, busy
        jumped = self._notice_jump()
        if jumped:
            self._wait = _WAIT
        waited = self._since_trial >= self._wait
        if self._level < self._measured_level and (waited or freed or self._notice_relief()):
            return self._level + 1
        if self._level > 0 and (jumped or (waited and (busy or self._is_slow()))):
            return self._level - 1
        top = len(self._ladder) - 1
        if self._measured_level == self._level < top and self._since_above >= self._wait_above and not busy:
            return self._level + 1
        return None

    def _begin_trial(self, level: int, reference_ms: float) -> None:
        towards_measured = self._level < level <= self._measured_level
        gain = 1.0 if towards_measured else _BETTER if level < self._level else _MUCH_BETTER
        self._trial = _Trial(level, reference_ms * gain)
        self._since_trial = 0
        if level > self._measured_level:
            self._since_above = 0

    def _judge(self, trial: _Trial, won: bool | None) -> None:
        """Keep the level that won and go on in that direction; go back, and wait longer, where it lost."""
        if won is None:
            return
        self._trial = None
        step = trial.level - self._level
        is_above = trial.level > self._measured_level
        if not won:
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
            if is_above:
                self._wait_above = min(4 * self._wait_above, _LONGEST_WAIT_ABOVE)
            return
        self._level = trial.level
        self._measured_level = max(self._measured_level, trial.level)
        self._times.clear()
        self._wait = _WAIT
        further = trial.level + step
        if 0 <= further < len(self._ladder) and (is_above or self._level < self._measured_level):
            self._begin_trial(further, median(trial.samples))

    def _notice_jump(self) -> bool:
        """The last tokens are much slower than those before. Then what was before is remembered as the usual."""
        before = list(self._times)[:-_RECENT]
        if len(before) < _RECENT or self._now_ms() < _JUMP * median(before):
            return False
        if self._usual_ms is None and self._level == self._measured_level:
            self._usual_ms = median(before)
        self._forget_before()
        return True

    def _notice_relief(self) -> bool:
        """The last tokens are much faster than those before."""
        before = list(self._times)[:-_RECENT]
        if len(before) < _RECENT or self._now_ms() > _RELIEF * median(before):
            return False
        self._forget_before()
        return True

    def _is_slow(self) -> bool:
        """A jump is not mended: still slower than before it."""
        if self._usual_ms is not None and self._now_ms() < 1.2 * self._usual_ms:
            self._usual_ms = None
        return self._usual_ms is not None

    def _now_ms(self) -> float:
        return median(list(self._times)[-_RECENT:])

    def _forget_before(self) -> None:
        self._times = deque(list(self._times)[-_RECENT:], self._times.maxlen)


def _ladder(measured: int, usable_cores: int) -> list[int]:
    """The counts tried, from 1 up: steps of about a quarter, and the measured one."""
    counts = {usable_cores, 1}
    count = usable_cores
    while count > 1:
        count = count * 3 // 4
        counts.add(count)
    too_close = measured / 5
    return sorted({measured} | {count for count in counts if abs(count - measured) > too_close})


# How many cores other programs use just now: what AdaptiveThreads is told besides its own times.


_INTERVAL_S = 0.25
_STALE_S = 3.0
"""Longer than a token of a large model, shorter than a person takes to ask again."""
_BUSY_FIELDS = ("user", "nice", "system", "irq", "softirq", "steal")
"""Fields of psutil.cpu_times. Waiting for the disk is not work, and guests are counted in `user` already."""


class BusyNeighbours:
    """Callable: cores in use by all but this process, an average over the last quarter of a second or more."""

    def __init__(self) -> None:
        self._before = _reading()
        self._cores = 0.0

    def __call__(self) -> float:
        """Cores, 0 or more."""
        if time.monotonic() - self._before[0] < _INTERVAL_S:
            return self._cores
        before, now = self._before, _reading()
        self._before = now
        wall_s, busy_s = now[0] - before[0], now[1] - before[1]
        # What was busy between two answers says nothing about now: begin again.
        self._cores = 0.0 if wall_s > _STALE_S else max(0.0, busy_s / wall_s)
        return self._cores


def _reading() -> tuple[float, float]:
    """The clock, and the CPU seconds used by all others since the start of the machine."""
    times, own = psutil.cpu_times(), os.times()
    return time.monotonic(), sum(getattr(times, name, 0.0) for name in _BUSY_FIELDS) - own.user - own.system
