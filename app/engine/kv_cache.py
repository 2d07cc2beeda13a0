"""The KV cache together with the token ids it stands for: the one place that keeps the two in step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.engine.llama import Context


class KvCache:
    """`tokens` are the ids whose keys and values are in the context, in order from position 0."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tokens: list[int] = []

    @property
    def free_tokens(self) -> int:
        """How many tokens can still be added."""
        return self.context.context_tokens - len(self.tokens)

    def keep(self, count: int) -> int:
        """Drop all but the first `count` tokens, or all where the model's memory cannot drop some; how many stay."""
        if count < len(self.tokens):
            if self.context.truncate(count):
                del self.tokens[count:]
            else:
                self.clear()
        return len(self.tokens)

    def extend(self, tokens: Sequence[int], on_progress: Callable[[int], None] | None = None) -> bool:
        """Run the model over `tokens`; the logits of the last one can be sampled then.

        `on_progress(done)` is called after each batch. Returns False when it was stopped; what was finished before
        the batch that was interrupted stays.
        """
        size = self.context.batch_tokens
        for start in range(0, len(tokens), size):
            batch = tokens[start : start + size]
            if not self.context.decode(batch, len(self.tokens)):
                self._drop_interrupted_batch()
                return False
            self.tokens.extend(batch)
            if on_progress:
                on_progress(start + len(batch))
        return True

    def verify(self, tokens: Sequence[int], size: int) -> bool:
        """Run the model over `tokens`, one batch; each row of logits can be sampled then.

        The batch is filled up to `size` tokens where the context has room, because that may be cheaper; what fills it
        is dropped again. Returns False when it was stopped.
        """
        filled = [*tokens, *[tokens[-1]] * (min(size, self.free_tokens) - len(tokens))]
        start = len(self.tokens)
        if not self.context.decode(filled, start, rows=len(tokens)):
            self._drop_interrupted_batch()
            return False
        self.tokens.extend(tokens)
        if len(filled) > len(tokens):
            self.context.truncate(len(self.tokens))
        return True

    def clear(self) -> None:
        """Forget everything."""
        self.context.clear()
        self.tokens.clear()

    def _drop_interrupted_batch(self) -> None:
        if not self.context.truncate(len(self.tokens)):
            self.clear()
