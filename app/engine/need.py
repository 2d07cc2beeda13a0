"""What a loaded model takes in memory, in bytes."""

from __future__ import annotations

from dataclasses import dataclass

PROCESS_BYTES = 45_000_000
"""The child itself, beside the buffers and the vocabulary: Python, the libraries, what is written down of a prompt.
Measured."""

ENGINE_BYTES = 49_000_000
"""The child with the vocabulary of a small model: where no more is known."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What llama.cpp itself says the model takes at this context, in bytes."""

    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    engine_bytes: int = ENGINE_BYTES
    """The process itself with this model's vocabulary."""
    draft_bytes: int = 0
    """A draft model beside it: its weights, KV cache, buffers and vocabulary."""

    @property
    def total_bytes(self) -> int:
        """Weights, KV cache and buffers together."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes

    @property
    def resident_bytes(self) -> int:
        """What the engine's process takes with them: compared with free memory before loading."""
        return self.total_bytes + self.engine_bytes + self.draft_bytes
