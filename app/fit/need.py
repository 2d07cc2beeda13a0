"""What a loaded model takes in memory, in bytes."""

from __future__ import annotations

from dataclasses import dataclass

ENGINE_BYTES = 40_000_000
"""The child itself, beside the buffers: Python, the libraries, the vocabulary of a small model. Measured."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What llama.cpp itself says the model takes at this context, in bytes."""

    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    engine_bytes: int = ENGINE_BYTES
    """The process itself with this model's vocabulary."""

    @property
    def total_bytes(self) -> int:
        """Weights, KV cache and buffers together."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes

    @property
    def resident_bytes(self) -> int:
        """What the engine's process takes with them: compared with free memory before loading."""
        return self.total_bytes + self.engine_bytes
