"""What a pruned model is to be put beside: the original, the same type without pruning, a ready-made smaller one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from app.fit.draft_suggestions import Sibling
from app.fit.verdict import ms_text
from app.measure.families import Family, LedgerRow
from app.quantize.messages import Offer
from ui.widgets.figure_table import FigureRow
from ui.words import kl_words, milliseconds, share_words, size

PLAIN_TYPE = "BF16"
"""What the original's memory and speed are told by: its 16 bits, as a file of llama.cpp's."""
LOOKING = "Looking for a ready-made smaller model of this family…"
_NOTHING: Mapping[str, Offer] = MappingProxyType({})
TITLES = ("On disk", "Memory", "A token", "Perplexity", "KL", "Top-1")


def is_compared(row: LedgerRow | None) -> bool:
    """Whether this row is of a model that was pruned or trained here and can be chatted with."""
    return row is not None and row.entry.is_altered and row.entry.can_load


def comparison(row: LedgerRow, family: Family, predicted: Mapping[str, Offer] = _NOTHING) -> list[FigureRow]:
    """The original, what quantizing alone makes of it, and this one, whose line is strong; "" for what is not known.

    The perplexity of the original is the one that was measured beside this model's. `predicted` is what each type of
    the original would be: with "about", in the place of what was not measured.
    """
    whole = _unaltered(family, lambda one: one.entry.header is not None and one.entry.header.is_unquantized)
    original = whole or family.source
    rows = [_with_predicted(_row(f"Before: {family.source.entry.name}", original), predicted.get(PLAIN_TYPE))]
    reference = row.quality.reference_perplexity if row.quality is not None else None
    if reference is not None and not rows[0].values[3]:
        values = rows[0].values
        rows[0] = FigureRow(rows[0].name, (*values[:3], f"{reference.value:.2f}", *values[4:]))
    kind = row.entry.header.quantization if row.entry.header is not None else ""
    alone = _unaltered(family, lambda one: one.entry.header is not None and one.entry.header.quantization == kind)
    if alone is not None and alone is not whole:
        rows.append(_with_predicted(_row(f"{alone.short_recipe}, not pruned", alone), predicted.get(kind)))
    elif alone is None and (offer := predicted.get(kind)) is not None:
        name = f"{kind}, not pruned (predicted)"
        rows.append(_with_predicted(FigureRow(name, (size(offer.size_bytes), *[""] * 5)), offer))
    rows.append(_row(f"After: {row.short_recipe}", row, strong=True))
    return rows


def ready_made_row(found: Sibling) -> FigureRow:
    """The line of the one on the hub: of it only size and memory are known before a download."""
    name = f"Ready-made: {found.repository.rpartition('/')[2]} {found.label}"
    return FigureRow(name, (size(found.size_bytes), f"about {size(found.memory_bytes)}", "", "", "", ""))


def found_words(found: Sibling) -> str:
    """What there is to do about it."""
    asks = ", once its author has given access" if found.is_gated else ""
    return f"{found.repository} is ready-made, at about the same size: download and measure it to compare{asks}."


def _unaltered(family: Family, wanted: Callable[[LedgerRow], bool]) -> LedgerRow | None:
    """The variant with the most figures among those that nothing was taken away from."""
    found = [one for one in family.variants if not one.entry.is_altered and one.entry.can_load and wanted(one)]
    return max(found, key=lambda one: (one.speed is not None, one.kl is not None), default=None)


def _with_predicted(row: FigureRow, offer: Offer | None) -> FigureRow:
    """Memory and time of a token, where they were not measured and are foreseen."""
    if offer is None:
        return row
    disk, memory, token, *rest = row.values
    ms = "" if offer.ms_per_token is None else f"about {ms_text(offer.ms_per_token)}"
    return replace(row, values=(disk, memory or f"about {size(offer.need.resident_bytes)}", token or ms, *rest))


def _row(name: str, row: LedgerRow, *, strong: bool = False) -> FigureRow:
    speed = row.speed
    values = (
        size(row.entry.size_bytes),
        size(speed.peak_memory_bytes) if speed is not None else "",
        milliseconds(speed.ms_per_token) if speed is not None else "",
        "" if row.perplexity is None else f"{row.perplexity:.2f}",
        kl_words(row.kl),
        share_words(row.top_1),
    )
    return FigureRow(name, values, strong)
