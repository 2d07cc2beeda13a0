"""What is asked about the tensors of a model, and what was found: dataclasses of plain lists."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.operation import Request
from app.quantize.messages import TensorOverride
from app.system.paths import Paths


@dataclass(frozen=True, slots=True)
class LookInside(Request):
    """List the tensors of a GGUF file (of a split one: its first part) or a Hugging Face folder, from headers."""

    model: Path


@dataclass(frozen=True, slots=True)
class LookAtTensor(Request):
    """Histogram, rounding errors and outlier channels of one tensor.

    `importance` is an importance matrix of the model (None: the one that lies beside it, if any). `inputs` reads some
    windows of the bundled text with the model and looks at what flows into this tensor; for GGUF files.
    """

    model: Path
    tensor: str
    importance: Path | None = None
    inputs: bool = False


@dataclass(frozen=True, slots=True)
class SuggestTypes(Request):
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
    """The number of stretches of layers into which each kind of matrix is divided."""
    threads: int = 0


@dataclass(frozen=True, slots=True)
class TensorRow:
    """A tensor as the header describes it. `shape` has rows first, columns (the inputs) last."""

    name: str
    shape: tuple[int, ...]
    type: str
    elements: int
    size_bytes: int
    block: int = -1
    """Number of its layer; -1 for a tensor of none."""


@dataclass(frozen=True, slots=True)
class Inside:
    """All tensors of the model, in the order of the file."""

    path: Path
    tensors: tuple[TensorRow, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """The counts of the weights from `low` to `high` = -low, in bars of equal width; `below` and `above` lie outside.

    The figures are of all weights that were read. `excess_kurtosis` is 0 for a normal distribution; above it there are
    more far values. `not_finite` counts NaN and infinities, which are in nothing else.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    below: int
    above: int
    read: int
    mean: float
    deviation: float
    largest: float
    """The largest of the absolute values."""
    excess_kurtosis: float
    zeros: int
    not_finite: int = 0


class MethodKind(StrEnum):
    """Families of the ways to store weights in fewer bits."""

    SCALAR = "scalar"
    CODEBOOK = "codebook"
    GGUF = "GGUF"


@dataclass(frozen=True, slots=True)
class MethodError:
    """What one way of storing the tensor does to it. Where it does not fit, `problem` says why, and the rest is 0.

    `rmse` is in units of the weights, `signal_to_noise` in dB: 6 more halve the error. `exact` marks an error of zero,
    whose signal-to-noise has no number.
    """

    kind: MethodKind
    name: str
    bits: float
    """A weight, with scales and codebooks."""
    rmse: float
    signal_to_noise: float
    words: str
    """What it does, in plain words."""
    problem: str = ""
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """An input channel (a column) that stands out, `times` the median channel's strength."""

    number: int
    times: float


@dataclass(frozen=True, slots=True)
class ChannelPicture:
    """Strength of every input channel over the median's, in at most some hundred bars: the strongest of each stretch.

    `outliers` are the strongest first, at most some dozen of the `found` ones.
    """

    measure: str
    """What the strength is: "weights" or "inputs"."""
    channels: int
    threshold: float
    bars: tuple[float, ...]
    outliers: tuple[Channel, ...]
    found: int


@dataclass(frozen=True, slots=True)
class TensorLook:
    """All that was found in one tensor. `notes` are sentences: what was sampled, what is damaged, what is missing."""

    path: Path
    tensor: TensorRow
    histogram: Histogram
    errors: tuple[MethodError, ...]
    pictures: tuple[ChannelPicture, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupCost:
    """How much the model minds when this group of tensors alone is stored in 4 bits, and what it was given."""

    name: str
    """ "ffn_down, layers 0 to 1"."""
    elements: int
    kl: float
    """KL divergence to the model as it is, nats a token."""
    type: str
    usual_type: str
    """What the usual mixture stores (most of) it in."""


@dataclass(frozen=True, slots=True)
class TypesSuggested:
    """Types by measured sensitivity, and the proof: both files were made and compared with the model, on another text.

    `overrides` are for Quantize with `type`. They are given also where they are no better; then `better` is False.
    """

    path: Path
    type: str
    groups: tuple[GroupCost, ...]
    overrides: tuple[TensorOverride, ...]
    usual_bytes: int
    suggested_bytes: int
    usual_kl: float
    usual_kl_error: float
    suggested_kl: float
    suggested_kl_error: float
    scored_tokens: int
    better: bool
    sentence: str


# Where the files lie that a suggestion of types makes on the way. No engine here: the window removes them too.


def workspace(request: SuggestTypes, paths: Paths) -> Path:
    """A folder that follows from the request; it is there only while the suggestion is worked on."""
    digest = hashlib.sha256(f"{request.model.resolve()} {request.type}".encode()).hexdigest()[:16]
    return paths.home / "cache" / "inside" / digest
