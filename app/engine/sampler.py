"""llama.cpp's samplers: the one that draws the answer, and the one that takes what a draft model thinks most likely."""

from __future__ import annotations

import ctypes
import math
from typing import Any

from app.engine.llama import C, Context, Model
from app.engine.messages import Sampling


class Sampler:
    """Chooses the next token. Order as in llama.cpp: penalties, top-k, top-p, min-p, temperature, draw."""

    PENALTY_WINDOW = 256
    """Tokens, of the prompt and of the answer so far, that the repeat penalty looks back on."""

    def __init__(self, model: Model, sampling: Sampling, seed: int) -> None:
        self.handle = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
        if sampling.repeat_penalty != 1.0:
            self._add(
                C.llama_sampler_init_penalties(
                    model.vocabulary_size, self.PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0
                )
            )
        if sampling.temperature <= 0:
            self._add(C.llama_sampler_init_greedy())
            return
        if sampling.top_k > 0:
            self._add(C.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            self._add(C.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0:
            self._add(C.llama_sampler_init_min_p(sampling.min_p, 1))
        self._add(C.llama_sampler_init_temp(sampling.temperature))
        self._add(C.llama_sampler_init_dist(seed))

    def close(self) -> None:
        """Free the chain. A second call does nothing."""
        if self.handle:
            C.llama_sampler_free(self.handle)
            self.handle = None

    def accept(self, token: int) -> None:
        """Count a token of the prompt for the repeat penalty."""
        C.llama_sampler_accept(self.handle, token)

    def sample(self, context: Context, row: int = -1) -> int:
        """Draw from a row of the batch decoded last, and count the token. A row without logits ends the process."""
        return int(C.llama_sampler_sample(self.handle, context.handle, row))

    def _add(self, sampler: Any) -> None:
        C.llama_sampler_chain_add(self.handle, sampler)


class GreedyGuess:
    """The most likely next token with its probability among the ten most likely, from one pass over the logits.

    A probability over the whole vocabulary would take as long as a small draft model itself in Python; that of ten is
    what llama.cpp's own drafting goes by (common/speculative.cpp, top_k 10).
    """

    _AMONG = 10

    def __init__(self) -> None:
        self._probability = 0.0
        self._interface = C.llama_sampler_i(apply=C.llama_sampler_i_apply(self._apply))
        self._chain = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
        C.llama_sampler_chain_add(self._chain, C.llama_sampler_init_top_k(self._AMONG))
        C.llama_sampler_chain_add(self._chain, C.llama_sampler_init(ctypes.byref(self._interface), None))

    def close(self) -> None:
        """Free the chain. A second call does nothing."""
        if self._chain:
            C.llama_sampler_free(self._chain)
            self._chain = None

    def guess(self, context: Context) -> tuple[int, float]:
        """Token and probability from the last row of logits."""
        token = int(C.llama_sampler_sample(self._chain, context.handle, -1))
        return token, self._probability

    def _apply(self, _sampler: Any, candidates: Any) -> None:
        array = candidates.contents
        logits = [array.data[i].logit for i in range(array.size)]
        best = max(range(len(logits)), key=logits.__getitem__)
        array.selected = best
        self._probability = 1 / sum(math.exp(logit - logits[best]) for logit in logits)
