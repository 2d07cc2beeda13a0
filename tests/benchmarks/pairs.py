"""Two things measured in turns on a machine that is never quite quiet, and what may be said of them."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import psutil

Result = TypeVar("Result")
Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")

DISTURBED_CORES = 0.15
"""A measurement during which strangers used more is disturbed."""
_BUSY_FIELDS = ("user", "nice", "system", "irq", "softirq", "steal")


def say(text: str) -> None:
    """What goes on, on stderr."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Goal:
    """What a figure is held against: at least, or at most."""

    limit: float
    at_least: bool = False

    def __str__(self) -> str:
        return f"goal {'≥' if self.at_least else '≤'} {self.limit:g}"

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Figure:
    """One figure with its spread over the repetitions, held against a goal by its median."""

    name: str
    values: tuple[float, ...]
    unit: str = ""
    goal: Goal | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        spread = f" (min {min(self.values):.3g}, max {max(self.values):.3g}, n {len(self.values)})"
        text = f"{self.name}: {self.median:.3g}{unit}{spread if len(self.values) > 1 else ''}"
        if self.goal:
            text += f" · {self.goal}: {'met' if self.goal.is_met(self.median) else 'MISSED'}"
        return text + (f" · {self.note}" if self.note else "")


@dataclass(frozen=True)
class Watched(Generic[Result]):
    """A result, and the cores that strangers (and the hypervisor) used meanwhile."""

    value: Result
    others_cores: float

    def __str__(self) -> str:
        return f"{self.value} (others {self.others_cores:.2f} cores)"

    @property
    def is_disturbed(self) -> bool:
        return self.others_cores > DISTURBED_CORES


def watched(run: Callable[[], Result], *ours: psutil.Process) -> Watched[Result]:
    """Run it. This process, the processes it waited for, and `ours` are no strangers."""
    others, start = _others_cpu_s(ours), time.monotonic()
    value = run()
    return Watched(value, (_others_cpu_s(ours) - others) / (time.monotonic() - start))


@dataclass(frozen=True)
class Turns(Generic[Ours, Theirs]):
    """What two things measured in turns gave: the undisturbed pairs where there are enough, else all."""

    ours: tuple[Ours, ...]
    theirs: tuple[Theirs, ...]
    note: str


def in_turns(
    pairs: int,
    ours: Callable[[], Watched[Ours]],
    theirs: Callable[[], Watched[Theirs]],
    patience: int = 3,
    known: Sequence[psutil.Process] = (),
) -> Turns[Ours, Theirs]:
    """Run both until `pairs` pairs were undisturbed, at most `patience` times as many.

    Who goes first alternates, so that a drift of the machine falls on both. `known` processes may run meanwhile.
    """
    done: list[tuple[Watched[Ours], Watched[Theirs]]] = []
    clean: list[tuple[Watched[Ours], Watched[Theirs]]] = []
    while len(clean) < pairs and len(done) < pairs * patience:
        wait_for_quiet(*known)
        if len(done) % 2 == 0:
            mine = ours()
            pair = mine, theirs()
        else:
            other = theirs()
            pair = ours(), other
        done.append(pair)
        say(f"pair {len(done)}: {pair[0]} {pair[1]}")
        if not (pair[0].is_disturbed or pair[1].is_disturbed):
            clean.append(pair)
    kept = clean if len(clean) >= min(3, pairs) else done
    others = [run.others_cores for pair in kept for run in pair]
    note = f"{len(clean)} of {len(done)} pairs undisturbed" + ("" if kept is clean else ", all are shown")
    note += f", others used {statistics.mean(others):.2f} cores"
    return Turns(tuple(mine.value for mine, _ in kept), tuple(other.value for _, other in kept), note)


def wait_for_quiet(*known: psutil.Process, limit_s: float = 45) -> None:
    """Return when strangers have used next to nothing for a second, or after the limit."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if not watched(lambda: time.sleep(1), *known).is_disturbed:
            return


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    return tuple(a / b for a, b in zip(ours, theirs, strict=True))


@contextlib.contextmanager
def busy_processes(count: int) -> Iterator[list[psutil.Process]]:
    """That many processes that do nothing but use a core each, for as long as the block runs."""
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield [psutil.Process(spinner.pid) for spinner in spinners]
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def machine() -> dict[str, Any]:
    """What must be known to read a figure: the cores and how busy they were."""
    return {"cores": os.cpu_count(), "load_average": psutil.getloadavg()[0], "others_cores": others_cores()}


def others_cores(interval_s: float = 1.0) -> float:
    """Cores in use by anything, over a moment in which this benchmark does nothing."""
    return psutil.cpu_percent(interval_s) / 100 * (os.cpu_count() or 1)


def parser(description: str | None, pairs: int) -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    result.add_argument("--pairs", type=int, default=pairs, help=f"repetitions of each (default {pairs})")
    result.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return result


def show(figures: Sequence[Figure], before: dict[str, Any], as_json: bool) -> int:
    """Print the figures with the state of the machine before and after; 0 when every goal is met."""
    after = machine()
    if as_json:
        rows = [{**asdict(figure), "median": figure.median} for figure in figures]
        print(json.dumps({"figures": rows, "before": before, "after": after}, indent=2))
    else:
        print(*figures, sep="\n")
        print(
            f"{before['cores']} cores; others used {before['others_cores']:.2f} of them before and "
            f"{after['others_cores']:.2f} after; load average {before['load_average']:.2f}, {after['load_average']:.2f}"
        )
    return 0 if all(figure.goal is None or figure.goal.is_met(figure.median) for figure in figures) else 1


def _others_cpu_s(ours: Sequence[psutil.Process]) -> float:
    system, own = psutil.cpu_times(), os.times()
    known = own.user + own.system + own.children_user + own.children_system
    for process in ours:
        times = process.cpu_times()
        known += times.user + times.system
    return float(sum(getattr(system, name, 0.0) for name in _BUSY_FIELDS)) - known
