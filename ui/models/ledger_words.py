"""What was measured, in words: cells, facts, tool tips. "" where it was not measured."""

from __future__ import annotations

from app.measure.families import LedgerRow
from app.measure.ledger import Measurement
from app.measure.messages import Estimate, Quality
from app.units import grouped
from ui.words import kl_words, milliseconds, share_words, size


def facts_of(row: LedgerRow) -> list[tuple[str, str]]:
    """(word, value) pairs for the details; none where nothing was measured."""
    return [*_quality_facts(row.quality), *_speed_facts(row)]


def conditions_words(row: LedgerRow) -> str:
    """Under what the figures were measured: "On 4,080 tokens of the bundled text, in windows of 512; 24 Nov 2026"."""
    lines = []
    if row.quality is not None:
        lines.append(f"Measured on {_text_words(row.quality)} ({row.quality.date[:10]}).")
    if row.other_qualities:
        others = "; ".join(_other_words(one) for one in row.other_qualities[:3])
        lines.append(f"Not comparable with these: {others}.")
    return " ".join(lines)


def point_words(row: LedgerRow) -> str:
    """The numbers of a variant, one a line, for the tool tip of its point."""
    facts = (
        ("Size", size(row.entry.size_bytes)),
        ("KL divergence", kl_words(row.kl)),
        ("Top-1", share_words(row.top_1)),
        ("Perplexity", "" if row.perplexity is None else f"{row.perplexity:.2f}"),
        *_speed_facts(row),
    )
    return "\n".join([row.short_recipe, row.entry.path.name, *(f"{word}: {value}" for word, value in facts if value)])


def summary(result: Quality) -> str:
    """One sentence for a measurement that has ended."""
    found = []
    if result.kl_mean is not None and result.top_1 is not None and result.reference is not None:
        found.append(f"KL {kl_words(result.kl_mean.value)} to {result.reference.name}")
        found.append(f"top-1 {share_words(result.top_1.value)}")
    else:
        found.append(f"perplexity {result.perplexity.value:.2f}")
    if result.speed is not None:
        found.append(f"{milliseconds(result.speed.ms_per_token_median)} a token")
    return f"{result.path.name} was measured: {', '.join(found)}."


def _quality_facts(quality: Measurement | None) -> list[tuple[str, str]]:
    if quality is None:
        return []
    facts = []
    if quality.kl_mean is not None:
        facts.append(("KL divergence", f"{kl_words(quality.kl_mean.value)} ± {kl_words(quality.kl_mean.error)}"))
    if quality.kl_99 is not None:
        facts.append(("KL, 99 % below", kl_words(quality.kl_99)))
    if quality.top_1 is not None:
        facts.append(("Top-1", f"{share_words(quality.top_1.value)} ± {share_words(quality.top_1.error)}"))
    if quality.perplexity is not None:
        facts.append(("Perplexity", _with_source(quality.perplexity, quality.reference_perplexity)))
    return facts


def _with_source(perplexity: Estimate, reference: Estimate | None) -> str:
    words = f"{perplexity.value:.2f} ± {perplexity.error:.2f}"
    return words if reference is None else f"{words} (source {reference.value:.2f})"


def _speed_facts(row: LedgerRow) -> list[tuple[str, str]]:
    speed = row.speed
    if speed is None:
        return []
    return [
        ("A token takes", milliseconds(speed.ms_per_token)),
        ("First token after", milliseconds(speed.time_to_first_token_ms)),
        ("Peak memory", size(speed.peak_memory_bytes)),
    ]


def _text_words(measurement: Measurement) -> str:
    where = measurement.conditions
    text = "the bundled text" if where.text.startswith("bundled ") else where.text
    return f"{grouped(where.scored_tokens)} tokens of {text}, in windows of {grouped(where.context_tokens)}"


def _other_words(measurement: Measurement) -> str:
    found = []
    if measurement.perplexity is not None:
        found.append(f"perplexity {measurement.perplexity.value:.2f}")
    if measurement.kl_mean is not None and measurement.reference is not None:
        found.append(f"KL {kl_words(measurement.kl_mean.value)} to {measurement.reference.name}")
    return f"{' and '.join(found) or 'nothing'} on {_text_words(measurement)}"
