"""How long a token will take: the bytes that decoding reads, over what this machine reads in a second of each type.

Decoding one token at a time is bound by memory, as every weight is read once for it (Williams et al. 2009, the
roofline model); where a type's kernel is slower than the memory, the measured figure of that type has it in it.
"""

from __future__ import annotations

from app.engine.messages import MachineSpeed
from app.fit.judgement import ReadProfile
from app.library.tensor_types import TENSOR_TYPES

_BITS = {kind.name: 8 * kind.block_bytes / kind.block for kind in TENSOR_TYPES.values()}


def predicted_ms(reads: ReadProfile, kv_bytes: int, speed: MachineSpeed) -> float:
    """Milliseconds a token, with so many bytes of KV cache filled."""
    weights_s = sum(part.bytes / type_bytes_per_second(part.type, speed) for part in reads.types)
    return 1000 * (weights_s + kv_bytes / speed.kv_bytes_per_second) + reads.layers * speed.ms_per_layer


def type_bytes_per_second(kind: str, speed: MachineSpeed) -> float:
    """As measured, or of the measured type with the nearest number of bits a weight: its kernel is of the same kind."""
    measured = {one.type: one.bytes_per_second for one in speed.types}
    if kind in measured:
        return measured[kind]
    same_kind = [name for name in measured if name.startswith("IQ") == kind.startswith("IQ")] or list(measured)
    bits = _BITS.get(kind, 16.0)
    return measured[min(same_kind, key=lambda name: abs(_BITS.get(name, 16.0) - bits))]
