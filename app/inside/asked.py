"""What can be asked about the inside of a model: frozen dataclasses, as in `app.requests`, which takes them up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LookInside:
    """List the tensors of a GGUF file (of a split one: its first part) or a Hugging Face folder, from headers."""

    model: Path


@dataclass(frozen=True, slots=True)
class LookAtTensor:
    """Histogram, rounding errors and outlier channels of one tensor.

    `importance` is an importance matrix of the model (None: the one that lies beside it, if any). `inputs` reads some
    windows of the bundled text with the model and looks at what flows into this tensor; for GGUF files.
    """

    model: Path
    tensor: str
    importance: Path | None = None
    inputs: bool = False


@dataclass(frozen=True, slots=True)
class SuggestTypes:
    """Find a type for each group of tensors by measuring how much the model minds when that group is stored in 4 bits.

    The result is compared with the mixture `type`, whose size it may exceed by the share `extra` (0: not at all).
    """

    model: Path
    type: str = "Q4_K_M"
    extra: float = 0.0
    text: Path | None = None
    """What sensitivity is measured on; None: the bundled calibration text. The comparison reads another one."""
    context_tokens: int = 256
    windows: int = 8
    """Read for each group. The comparison at the end reads as many as `MeasureQuality` does."""
    bands: int = 3
    """Into so many stretches of layers each kind of matrix is divided."""
    threads: int = 0
