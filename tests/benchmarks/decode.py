"""Decode speed of the child at our defaults against llama-bench, quiet and with one busy process per core.

    python -m tests.benchmarks.decode [--shape 1b] [--pairs 6] [--tokens 64]

Quiet: the best of llama-bench over thread counts. Busy: llama-bench at its defaults. Both read the same file and take
turns. The times of ours are those of the answer's statistics; the tokens go through the pipe as they do to the window.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from app.system.hardware import usable_cores
from tests.benchmarks import pairs, peers
from tests.benchmarks.engine import Child, user, words
from tests.benchmarks.pairs import Figure, Goal, watched
from tests.benchmarks.shapes import model_of_shape

_BUSY_PEER_TOKENS = 16
"""Fewer flatter llama-bench: a process that has just started is ahead of the busy ones for the first tokens."""


def main() -> int:
    options = _options()
    model = model_of_shape(options.shape)
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as home, Child(Path(home)) as child:
        pairs.wait_for_quiet()
        loaded = child.load(model)
        note = f"ours measured {loaded.threads.decode} threads for decode, {loaded.threads.prefill} for prefill"
        child.answer("warm", (user("warm up"),), 16)
        figures = [] if options.only == "busy" else _quiet(child, model, options, note)
        figures += [] if options.only == "quiet" else _busy(child, model, options)
    return pairs.show(figures, before, options.json)


def _quiet(child: Child, model: Path, options: argparse.Namespace, note: str) -> list[Figure]:
    counts = sorted({1, *range(max(1, usable_cores() // 4), usable_cores() + 1)})
    turns = pairs.in_turns(
        options.pairs,
        lambda: watched(lambda: _speed(child, options.tokens), child.ps),
        lambda: watched(lambda: peers.decode_speeds(model, counts, options.tokens)),
    )
    best = max(counts, key=lambda count: statistics.median(speeds[count] for speeds in turns.theirs))
    theirs = tuple(speeds[best] for speeds in turns.theirs)
    return [
        Figure("decode, quiet, ours", turns.ours, "tokens/s", note=note),
        Figure("decode, quiet, llama-bench at its best", theirs, "tokens/s", note=f"{best} threads"),
        Figure("decode, quiet, ratio", pairs.ratios(turns.ours, theirs), "", Goal(0.98, at_least=True), turns.note),
    ]


def _busy(child: Child, model: Path, options: argparse.Namespace) -> list[Figure]:
    count = usable_cores()
    defaults = ("-p", "0", "-n", str(_BUSY_PEER_TOKENS), "-r", "1")
    with pairs.busy_processes(count) as busy:
        turns = pairs.in_turns(
            max(2, options.pairs // 2),
            lambda: watched(lambda: _speed(child, options.tokens), child.ps, *busy),
            lambda: watched(lambda: peers.bench(model, *defaults)[0]["avg_ts"], *busy),
            known=busy,
        )
    title = f"decode beside {count} busy processes"
    ratios = pairs.ratios(turns.ours, turns.theirs)
    return [
        Figure(f"{title}, ours", turns.ours, "tokens/s"),
        Figure(f"{title}, llama-bench at its defaults", turns.theirs, "tokens/s"),
        Figure(f"{title}, ratio", ratios, "", Goal(8, at_least=True), turns.note),
    ]


_answers = 0


def _speed(child: Child, tokens: int) -> float:
    global _answers
    _answers += 1
    _, statistics_ = child.answer(f"answer {_answers}", (user(words(4, _answers)),), tokens)
    return statistics_.tokens_per_second


def _options() -> argparse.Namespace:
    parser = pairs.parser(__doc__, pairs=6)
    parser.add_argument("--shape", default="1b")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--only", choices=("quiet", "busy"))
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
