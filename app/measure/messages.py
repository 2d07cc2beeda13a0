"""What is asked when the quality of a model is measured, and the figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.engine.messages import BenchResult
from app.operation import Request


@dataclass(frozen=True, slots=True)
class MeasureQuality(Request):
    """Perplexity of a model over a text (None: the bundled one), and against a `reference` KL divergence and top-1.

    Windows of `context_tokens`; the second half of each is scored, as llama-perplexity does.
    """

    model: Path
    reference: Path | None = None
    text: Path | None = None
    context_tokens: int = 512
    chunks: int = 0
    threads: int = 0
    speed: bool = False
    """Measure decode speed, time to first token and peak memory of `model` in the same job."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Quality:
    """What a model is worth on a text. All but perplexity need a reference, and are None without one."""

    path: Path
    reference: Path | None
    text: str
    """Name of the text: "bundled" with its version, or the file's name and sha256."""
    context_tokens: int
    scored_tokens: int
    perplexity: Estimate
    reference_perplexity: Estimate | None = None
    kl_mean: Estimate | None = None
    """Kullback-Leibler divergence of the model's next-token distribution from the reference's, in nats."""
    kl_99: float | None = None
    """99th percentile of the same."""
    top_1: Estimate | None = None
    """Share of the positions at which both think the same token most likely, 0 to 1."""
    speed: BenchResult | None = None
