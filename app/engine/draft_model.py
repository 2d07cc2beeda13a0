"""A small model that guesses what the loaded one will say: its weights, its KV cache, and how sure it is of a guess."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from app.engine.generation import GreedyGuess
from app.engine.kv_cache import KvCache
from app.engine.llama import LOG, Context, Model, ModelOptions
from app.engine.messages import LoadModel
from app.errors import Cancelled
from app.operation import StopFlag

_WARM_UP_TOKENS = 64
_TIMED_BATCH = 32
_TIMED = 5
_DRIFT = 0.1
_OUTLIER = 2.5


class DraftModel:
    """Made by `load`. Its KV cache follows the text: what no longer belongs to it is dropped at the next guess."""

    def __init__(self, model: Model, context: Context, vocabulary_size: int) -> None:
        """`vocabulary_size` is the larger model's: ids beyond it are never guessed."""
        self.model = model
        self.cache = KvCache(context)
        self.step_ms = self.read_ms = 0.0
        """The time of one guess, and of reading one token among many."""
        self._vocabulary_size = vocabulary_size
        self._guess = GreedyGuess()

    @staticmethod
    def load(
        path: Path, like: LoadModel, context_tokens: int, vocabulary_size: int, safe_mode: bool, stop: StopFlag
    ) -> DraftModel:
        """The weights and a context of at most `context_tokens`. Raises LoadError, or Cancelled after a stop."""
        LOG.clear()
        model = Model(path, ModelOptions(repack=not safe_mode), lambda _share: not stop())
        try:
            context = Context(model, draft_context_tokens(model, context_tokens), like.kv_type, like.flash_attention)
        except BaseException:
            model.close()
            raise
        return DraftModel(model, context, vocabulary_size)

    def warm_up(self, candidates: Sequence[int], stop: StopFlag) -> None:
        """Decode the first tokens, and take the thread count of the `candidates` that is fastest. Raises Cancelled."""
        filler = max(self.model.bos, 0)
        self.cache.context.abort_when(stop)
        self._time_ms([filler] * _WARM_UP_TOKENS)
        times = {}
        for count in candidates:
            self.cache.context.set_threads(count, count)
            self._time_ms([filler])
            times[count] = median(self._time_ms([filler]) for _ in range(_TIMED))
        best = min(times, key=times.__getitem__)
        self.cache.context.set_threads(best, max(candidates))
        self.step_ms = times[best]
        self.read_ms = self._time_ms([filler] * _TIMED_BATCH) / _TIMED_BATCH
        self.cache.clear()

    def close(self) -> None:
        """Free the memory. A second call does nothing."""
        self._guess.close()
        self.cache.context.close()
        self.model.close()

    def behind(self, tokens: Sequence[int]) -> int:
        """How many of the tokens it has to read before it can guess what follows them."""
        return len(tokens) - common_length(self.cache.tokens, tokens)

    def has_room(self, tokens: int) -> bool:
        """Whether a text of so many tokens still fits its context."""
        return tokens <= self.cache.context.context_tokens

    def guesses(self, tokens: Sequence[int]) -> Iterator[tuple[int, float]]:
        """What follows `tokens`, one guess after the other, each with its probability. Ends where it cannot guess on:
        after a stop, at the end of its context, at a token the larger model does not have.
        """
        keep = self.cache.keep(min(common_length(self.cache.tokens, tokens), len(tokens) - 1))
        if not self.has_room(len(tokens)) or not self._read(tokens[keep:]):
            return
        while True:
            token, probability = self._guess.guess(self.cache.context)
            if token >= self._vocabulary_size:
                return
            yield token, probability
            if self.cache.free_tokens < 1 or not self._read((token,)):
                return

    def _read(self, tokens: Sequence[int]) -> bool:
        start = time.perf_counter()
        if not self.cache.extend(tokens):
            return False
        if len(tokens) == 1:
            ms = min((time.perf_counter() - start) * 1000, _OUTLIER * self.step_ms)
            self.step_ms += _DRIFT * (ms - self.step_ms)
        return True

    def _time_ms(self, tokens: Sequence[int]) -> float:
        if self.cache.free_tokens < len(tokens):
            self.cache.clear()
        start = time.perf_counter()
        if not self.cache.extend(tokens):
            raise Cancelled
        return (time.perf_counter() - start) * 1000


def draft_context_tokens(model: Model, wanted: int) -> int:
    """The model's own context, where it was trained for less."""
    return min(wanted, model.trained_context_tokens or wanted)


def common_length(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the common beginning."""
    shorter = min(len(left), len(right))
    if list(left[:shorter]) == list(right[:shorter]):
        return shorter
    return next(i for i in range(shorter) if left[i] != right[i])
