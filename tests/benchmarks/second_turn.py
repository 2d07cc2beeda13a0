"""Time to first token of a second turn after a long history, over that of the same new tokens on an empty history.

    python -m tests.benchmarks.second_turn [--shape 1b] [--history 2000] [--pairs 4]

Once in the process that gave the first answer, and once after its end, with the KV cache restored by a new one. What
stands beside it is the same turn without any reuse: what a program pays that reads the whole conversation again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from app.engine.messages import AnswerStatistics, Message, Role
from tests.benchmarks import pairs
from tests.benchmarks.engine import Child, user, words
from tests.benchmarks.pairs import Figure, Goal, watched
from tests.benchmarks.shapes import model_of_shape

_NEW_WORDS = 40
_ANSWER_TOKENS = 32
_RATIO = Goal(1.3)


def main() -> int:
    options = _options()
    model = model_of_shape(options.shape)
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as home:
        with Child(Path(home)) as child:
            child.load(model)
            history = _first_turn(child, options.history)
            figures = [*_warm(child, history, options.pairs), _without_reuse(child, history)]
            child.open("")  # the window does this when the conversation is left, and when it closes
        figures += _after_restart(Path(home), model, history, options.pairs)
    return pairs.show(figures, before, options.json)


def _first_turn(child: Child, history_tokens: int) -> tuple[Message, ...]:
    """A conversation of one question and one answer, about as long as asked for, and in the KV cache."""
    question = user(words(history_tokens // 2))
    text, statistics = child.answer("long", (question,), _ANSWER_TOKENS)
    pairs.say(f"history: {statistics.prompt_tokens} + {statistics.new_tokens} tokens")
    return question, Message(Role.ASSISTANT, text)


def _second_turn(child: Child, conversation: str, history: tuple[Message, ...], seed: int) -> AnswerStatistics:
    _, statistics = child.answer(conversation, (*history, user(words(_NEW_WORDS, seed))), 1)
    return statistics


def _warm(child: Child, history: tuple[Message, ...], count: int) -> list[Figure]:
    numbers = iter(range(1, 1000))
    told: list[AnswerStatistics] = []

    def after_history() -> float:
        # Opened first: switching conversations moves a KV cache to and from the disk and is not part of a turn.
        child.open("long")
        told.append(_second_turn(child, "long", history, next(numbers)))
        return told[-1].time_to_first_token_ms

    def on_empty() -> float:
        number = next(numbers)
        child.open(f"empty {number}")
        return _second_turn(child, f"empty {number}", (), number).time_to_first_token_ms

    turns = pairs.in_turns(count, lambda: watched(after_history, child.ps), lambda: watched(on_empty, child.ps))
    reuse = f"reused {told[-1].reused_tokens} of {told[-1].prompt_tokens} tokens"
    return [
        Figure("first token after the history", turns.ours, "ms", note=reuse),
        Figure("first token on an empty history", turns.theirs, "ms"),
        Figure("second turn, ratio", pairs.ratios(turns.ours, turns.theirs), "", _RATIO, turns.note),
    ]


def _without_reuse(child: Child, history: tuple[Message, ...]) -> Figure:
    child.open("read again")
    statistics = _second_turn(child, "read again", history, 7)
    return Figure("first token when all is read again", (statistics.time_to_first_token_ms,), "ms")


def _after_restart(home: Path, model: Path, history: tuple[Message, ...], count: int) -> list[Figure]:
    restored: list[float] = []
    opening: list[float] = []
    empty: list[float] = []
    for number in range(max(2, count // 2)):
        with Child(home) as child:
            child.load(model)
            start = time.perf_counter()
            opened = child.open("long")
            opening.append((time.perf_counter() - start) * 1000)
            restored.append(_second_turn(child, "long", history, 50 + number).time_to_first_token_ms)
            child.open(f"new {number}")
            empty.append(_second_turn(child, f"new {number}", (), 80 + number).time_to_first_token_ms)
    note = f"restored {opened.restored_tokens} tokens"
    return [
        Figure("after a restart, opening the conversation", tuple(opening), "ms", note=note),
        Figure("after a restart, first token after the history", tuple(restored), "ms"),
        Figure("after a restart, ratio", pairs.ratios(restored, empty), goal=_RATIO),
    ]


def _options() -> argparse.Namespace:
    parser = pairs.parser(__doc__, pairs=4)
    parser.add_argument("--shape", default="1b")
    parser.add_argument("--history", type=int, default=2000)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
