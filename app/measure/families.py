"""Sources and what was made of them: the ledger's rows, which of their figures may be compared, and their CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import StorageError
from app.library.library import ModelEntry
from app.library.provenance import rounding_of, short_words_of
from app.measure.ledger import Conditions, Figures, Measurement, SpeedFigures
from app.system.files import write_atomic

CSV_TITLES = (
    "parent", "name", "recipe", "size bytes", "memory bytes", "ms per token", "time to first token ms", "perplexity",
    "KL divergence", "top-1", "sha256", "text", "context tokens", "scored tokens", "reference", "file",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A model with its figures. `quality` is of the conditions that the family has in common, None without them.

    Its KL divergence and top-1 are to the source; those to another reference are in `other_qualities`.
    """

    entry: ModelEntry
    source: ModelEntry | None
    """The row it stands under; None for a source."""
    quality: Measurement | None = None
    speed: SpeedFigures | None = None
    other_qualities: tuple[Measurement, ...] = ()

    @property
    def recipe(self) -> str:
        """How it was made, else what its weights are."""
        made = self.entry.origin.recipe if self.entry.origin is not None else ""
        return made or self._weights

    @property
    def short_recipe(self) -> str:
        """A few letters for a point of the plot: "Q4_K_M best", "FFN 1024 recovered Q4_K_M imatrix"."""
        steps = self.entry.origin.steps if self.entry.origin is not None else ()
        altered = short_words_of(steps) if self.entry.is_altered else ""
        kind, rounding = rounding_of(steps)
        if self.entry.header is not None or not (kind or altered):
            kind = self._weights
        return " ".join(filter(None, (altered, kind, rounding))) or self.entry.path.name

    @property
    def _weights(self) -> str:
        header, facts = self.entry.header, self.entry.facts
        if header is not None:
            return header.quantization
        return (facts.prequantized.upper() or facts.type) if facts is not None else ""

    @property
    def sha256(self) -> str:
        """The hash as its manifest says; "" where nobody does."""
        return self.entry.origin.sha256 if self.entry.origin is not None else ""

    @property
    def kl(self) -> float | None:
        """Mean KL divergence to the source, in nats."""
        return self.quality.kl_mean.value if self.quality and self.quality.kl_mean else None

    @property
    def top_1(self) -> float | None:
        """Share of the tokens at which it has the same first choice as the source."""
        return self.quality.top_1.value if self.quality and self.quality.top_1 else None

    @property
    def perplexity(self) -> float | None:
        """How surprised it is by the text."""
        return self.quality.perplexity.value if self.quality and self.quality.perplexity else None


@dataclass(frozen=True, slots=True)
class Family:
    """A source and its variants, in the order of the list they came from."""

    source: LedgerRow
    variants: tuple[LedgerRow, ...] = ()

    @property
    def rows(self) -> tuple[LedgerRow, ...]:
        """The source and its variants."""
        return (self.source, *self.variants)


def families(entries: Sequence[ModelEntry], figures: Mapping[Path, Figures]) -> tuple[Family, ...]:
    """Every entry once: under the farthest model or folder it was made of that is there, or as a source."""
    by_path = {Path(os.path.normpath(entry.path)): entry for entry in entries}
    children: dict[Path, list[ModelEntry]] = {}
    sources = []
    for entry in entries:
        source = _source_of(entry, by_path)
        if source is entry:
            sources.append(entry)
        else:
            children.setdefault(source.path, []).append(entry)
    return tuple(_family(source, children.get(source.path, []), figures) for source in sources)


def reference_for(path: Path, found: Iterable[Family]) -> Path | None:
    """What this model is to be compared with: an unquantized file of its source where there is one, else the source.

    None where its source is not there or cannot be read.
    """
    family = next((one for one in found if any(row.entry.path == path for row in one.variants)), None)
    if family is None:
        return None
    source = family.source.entry
    for row in family.rows:
        entry = row.entry
        if entry.path != path and entry.can_load and _is_faithful(entry):
            return entry.path
    return source.path if source.can_load or (source.is_folder and source.can_quantize) else None


def write_csv(path: Path, rows: Iterable[LedgerRow]) -> None:
    """One line a model; numbers in plain digits, "" where not measured. Raises StorageError."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(CSV_TITLES)
    writer.writerows([_csv_cell(value) for value in _csv_values(row)] for row in rows)
    try:
        write_atomic(path, text.getvalue().encode("utf-8"))
    except OSError as error:
        raise StorageError(
            f"“{path.name}” could not be written: {error.strerror or error}.", "Choose another folder."
        ) from error


def _csv_values(row: LedgerRow) -> tuple[object, ...]:
    speed, quality = row.speed, row.quality
    conditions = quality.conditions if quality else None
    reference = quality.reference if quality else None
    return (
        row.source.name if row.source else None,
        row.entry.name,
        row.recipe,
        row.entry.size_bytes or None,
        speed.peak_memory_bytes if speed else None,
        speed.ms_per_token if speed else None,
        speed.time_to_first_token_ms if speed else None,
        row.perplexity,
        row.kl,
        row.top_1,
        row.sha256,
        conditions.text if conditions else None,
        conditions.context_tokens if conditions else None,
        conditions.scored_tokens if conditions else None,
        reference.name if reference else None,
        str(row.entry.path),
    )


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    # Names come from whoever made the file: a spreadsheet must not take one for a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else str(value)


def _source_of(entry: ModelEntry, by_path: Mapping[Path, ModelEntry]) -> ModelEntry:
    """The farthest ancestor that is in the list. A ring of parents, which only damage can make, has no source."""
    here, seen = entry, {entry.path}
    while here.parent is not None and (parent := by_path.get(here.parent)) is not None:
        if parent.path in seen:
            return entry
        seen.add(parent.path)
        here = parent
    return here


def _family(source: ModelEntry, variants: Sequence[ModelEntry], figures: Mapping[Path, Figures]) -> Family:
    members = (source, *variants)
    conditions = _common_conditions([figures[one.path] for one in members if one.path in figures])
    faithful = {source.path, *(one.path for one in members if _is_faithful(one))}

    def row(entry: ModelEntry, parent: ModelEntry | None) -> LedgerRow:
        known = figures.get(entry.path, Figures())
        quality = _quality(known.measurements, conditions, faithful if variants else None)
        others = tuple(one for one in known.measurements if quality is None or one.date != quality.date)
        return LedgerRow(entry, parent, quality, known.speed, others)

    return Family(row(source, None), tuple(row(entry, source) for entry in variants))


def _is_faithful(entry: ModelEntry) -> bool:
    """Whether it is as good as the source: in 16 bits or more, with nothing taken away."""
    return entry.header is not None and entry.header.is_unquantized and not entry.is_altered


def _common_conditions(found: Sequence[Figures]) -> Conditions | None:
    """Those under which most of the models were measured; of several, those measured last."""
    count: Counter[Conditions] = Counter()
    last: dict[Conditions, str] = {}
    for figures in found:
        count.update({one.conditions for one in figures.measurements})
        for one in figures.measurements:
            last[one.conditions] = max(last.get(one.conditions, ""), one.date)
    return max(count, key=lambda one: (count[one], last[one]), default=None)


def _quality(
    measurements: Sequence[Measurement], conditions: Conditions | None, faithful: set[Path] | None
) -> Measurement | None:
    """The newest under these conditions, of those with the source as reference first; `faithful` None takes any."""
    same = [one for one in measurements if one.conditions == conditions]
    compared = [one for one in same if one.kl_mean and (faithful is None or one.reference in faithful)]
    if compared:
        return compared[0]
    if not same:
        return None
    return dataclasses.replace(same[0], reference=None, kl_mean=None, kl_99=None, top_1=None)
