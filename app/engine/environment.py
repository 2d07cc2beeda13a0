"""Environment variables that must be set before the engine's process, or its libraries, start. The user's own win."""

from __future__ import annotations

import sys

from app.system.hardware import cpu_name

_SPINS_INTEL = 1000
_SPINS_AMD = 3000
"""The best of a small, noisy sweep on one AMD processor (tests/benchmarks/README.md). The likely reason, not measured:
AMD's pause instruction is shorter, so that more of them take as long."""


def engine_environment() -> dict[str, str]:
    """The variables and their values on this machine.

    GOMP_SPINCOUNT, KMP_BLOCKTIME (ms): threads that meet at a barrier spin shortly and then sleep. With the OpenMP
    runtimes' default, to spin on, a busy neighbour makes decoding up to 20 times slower.
    GLIBC_TUNABLES: large blocks, such as the weights, are asked for in huge pages, so that reading all of them for
    each token misses the address cache less often.
    GGML_NO_BACKTRACE: at an abort ggml would start a debugger, where there is one, which writes to standard output.
    """
    spins = _SPINS_AMD if "AMD" in cpu_name() else _SPINS_INTEL
    variables = {"GOMP_SPINCOUNT": str(spins), "KMP_BLOCKTIME": "1", "GGML_NO_BACKTRACE": "1"}
    if sys.platform == "linux":
        variables["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    return variables
