"""The clock of one answer: from the times of its tokens to the statistics said at its end."""

from __future__ import annotations

import statistics
import time

from app.engine.draft_messages import DraftFigures
from app.engine.messages import AnswerStatistics, StopReason
from app.engine.prompt import Prompt


class AnswerClock:
    """Started before the prompt is built; `lap` after each token."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._prefill_start = self._prefill_end = self._start
        self._first_token_at = 0.0
        self._token_ms: list[float] = []

    def prefill_begins(self) -> None:
        """The prompt is ready."""
        self._prefill_start = time.perf_counter()

    def prefill_ends(self) -> None:
        """The prompt is in the KV cache and the first token can be drawn."""
        self._prefill_end = self._last = time.perf_counter()

    def lap(self, tokens: int = 1) -> float:
        """Milliseconds since the last token (since the end of prefill for the first), shared among `tokens`."""
        now = time.perf_counter()
        ms, self._last = (now - self._last) * 1000 / tokens, now
        if not self._first_token_at:
            self._first_token_at = now
        else:
            self._token_ms += [ms] * tokens
        return ms

    @property
    def decode_ms(self) -> float:
        """Of all tokens but the first."""
        return sum(self._token_ms)

    def statistics(
        self, prompt: Prompt, new_tokens: int, reason: StopReason, seed: int, drafting: DraftFigures | None = None
    ) -> AnswerStatistics:
        """Times per token leave the first token out: it was drawn from the prefill's logits and cost no decode."""
        decode_ms = self.decode_ms
        return AnswerStatistics(
            prompt_tokens=len(prompt.tokens),
            reused_tokens=prompt.reused,
            new_tokens=new_tokens,
            draft_tokens=drafting.accepted_tokens if drafting else 0,
            time_to_first_token_ms=(self._first_token_at - self._start) * 1000 if self._first_token_at else 0.0,
            prefill_ms=(self._prefill_end - self._prefill_start) * 1000,
            decode_ms=decode_ms,
            ms_per_token_median=statistics.median(self._token_ms) if self._token_ms else 0.0,
            ms_per_token_p95=percentile(self._token_ms, 95),
            tokens_per_second=len(self._token_ms) / decode_ms * 1000 if decode_ms else 0.0,
            stop_reason=reason,
            seed=seed,
            left_out_messages=prompt.left_out_messages,
            drafting=drafting,
        )


def percentile(values: list[float], percent: float) -> float:
    """Nearest-rank percentile; 0 for no values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(percent / 100 * len(ordered) + 0.5) - 1))]
