"""The ledger: what was measured of each model on disk. One file, found again by content (sha256) or by place.

Figures of two texts, contexts or amounts of text are not comparable and are kept side by side; a new measurement
replaces only that of the same conditions and reference.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.engine.messages import BenchResult
from app.errors import StorageError
from app.library.manifest import origin_of
from app.measure.messages import Estimate, Quality
from app.records import build_leniently
from app.system.files import locked, read_json, write_atomic

_VERSION = 1
MAX_MEASUREMENTS = 20
"""The most measurements of one model; the oldest go."""
MAX_MODELS = 5000


@dataclass(frozen=True, slots=True)
class Conditions:
    """Only figures of the same conditions may be compared."""

    text: str
    context_tokens: int
    scored_tokens: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """Quality on one text. What could not be measured, or was no finite number, is None."""

    conditions: Conditions
    date: str
    """ISO 8601."""
    perplexity: Estimate | None
    reference: Path | None = None
    """What KL divergence and top-1 are of."""
    reference_perplexity: Estimate | None = None
    kl_mean: Estimate | None = None
    kl_99: float | None = None
    top_1: Estimate | None = None


@dataclass(frozen=True, slots=True)
class SpeedFigures:
    """The last measurement of speed on this machine."""

    ms_per_token: float
    time_to_first_token_ms: float
    peak_memory_bytes: int
    context_tokens: int
    prompt_tokens: int
    date: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What a model file is recognised by. `sha256` is "" where no manifest says it."""

    path: Path
    size_bytes: int
    changed_ns: int
    sha256: str = ""

    @property
    def key(self) -> str:
        """The content where it is known, else the place with size and time."""
        return self.sha256 or self.place

    @property
    def place(self) -> str:
        """Path, size and time of change: another file at the same path is another model."""
        return f"{self.path}|{self.size_bytes}|{self.changed_ns}"


@dataclass(frozen=True, slots=True)
class Figures:
    """All that was measured of one model, the newest measurement first."""

    measurements: tuple[Measurement, ...] = ()
    speed: SpeedFigures | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The models by the order in which they were last measured, the newest first."""

    models: tuple[tuple[Identity, Figures], ...] = ()

    def of(self, identity: Identity) -> Figures:
        """What was measured of this file; nothing where it was not."""
        for known, figures in self.models:
            if _same(known, identity):
                return figures
        return Figures()

    def with_figures(self, identity: Identity, figures: Figures) -> Ledger:
        """The ledger with these instead of what was known of the file."""
        others = tuple(model for model in self.models if not _same(model[0], identity))
        return Ledger(((identity, figures), *others)[:MAX_MODELS])


def identity_of(path: Path) -> Identity:
    """The identity of the file, of a split model its first part. Raises OSError."""
    whole = path.resolve()
    status = whole.stat()
    origin = origin_of(path)
    known = origin is not None and origin.size_bytes == status.st_size
    return Identity(whole, status.st_size, status.st_mtime_ns, origin.sha256 if origin is not None and known else "")


def read_ledger(path: Path) -> Ledger:
    """The ledger; of a damaged file what can be read, which may be nothing. Never raises."""
    return _read(path)[0]


def record(path: Path, result: Quality | BenchResult) -> None:
    """Add a measurement to the ledger at `path`. A damaged or newer one is kept aside. Raises StorageError."""
    try:
        identity = identity_of(result.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            ledger, keep_aside = _read(path)
            if keep_aside:
                path.replace(path.with_name(path.name + ".damaged"))
            write_atomic(path, _as_json(ledger.with_figures(identity, _added(ledger.of(identity), result))))
    except OSError as error:
        raise StorageError(
            f"The measurement could not be kept: {error.strerror or error}.",
            f"See that there is room on the disk and that {path.parent} may be written to.",
        ) from error


def figures_of(path: Path, models: Iterable[Path]) -> dict[Path, Figures]:
    """What the ledger at `path` knows of these files and folders, by the paths given. Touches the disk; never raises.

    References that are among them are named by the same paths, however they were reached when they were measured.
    """
    ledger, resolved = read_ledger(path), {}
    by_sha = {known.sha256: figures for known, figures in reversed(ledger.models) if known.sha256}
    by_place = {known.place: figures for known, figures in reversed(ledger.models)}
    found: dict[Path, Figures] = {}
    for model in models:
        try:
            identity = identity_of(model)
        except OSError:
            continue
        resolved[identity.path] = model
        figures = by_sha.get(identity.sha256) or by_place.get(identity.place)
        if figures is not None:
            found[model] = figures
    return {model: _renamed(figures, resolved) for model, figures in found.items()}


def _renamed(figures: Figures, names: Mapping[Path, Path]) -> Figures:
    measurements = (
        dataclasses.replace(one, reference=names.get(one.reference, one.reference)) if one.reference else one
        for one in figures.measurements
    )
    return Figures(tuple(measurements), figures.speed)


def _same(one: Identity, other: Identity) -> bool:
    if one.sha256 and other.sha256:
        return one.sha256 == other.sha256
    return one.place == other.place


def _added(figures: Figures, result: Quality | BenchResult) -> Figures:
    date = datetime.now(UTC).isoformat(timespec="seconds")
    if isinstance(result, BenchResult):
        return Figures(figures.measurements, _speed_of(result, date))
    new = _measurement_of(result, date)
    kept = [one for one in figures.measurements if (one.conditions, one.reference) != (new.conditions, new.reference)]
    speed = _speed_of(result.speed, date) if result.speed else None
    return Figures((new, *kept)[:MAX_MEASUREMENTS], speed or figures.speed)


def _measurement_of(result: Quality, date: str) -> Measurement:
    return Measurement(
        conditions=Conditions(result.text, result.context_tokens, result.scored_tokens),
        date=date,
        perplexity=_finite(result.perplexity),
        reference=result.reference.resolve() if result.reference else None,
        reference_perplexity=_finite(result.reference_perplexity),
        kl_mean=_finite(result.kl_mean),
        kl_99=result.kl_99 if result.kl_99 is not None and math.isfinite(result.kl_99) else None,
        top_1=_finite(result.top_1),
    )


def _finite(estimate: Estimate | None) -> Estimate | None:
    """None for what is no number: JSON has no word for it, and nothing can be compared with it."""
    if estimate is None or not (math.isfinite(estimate.value) and math.isfinite(estimate.error)):
        return None
    return estimate


def _speed_of(result: BenchResult, date: str) -> SpeedFigures | None:
    times = (result.ms_per_token_median, result.time_to_first_token_ms)
    if not all(math.isfinite(ms) for ms in times):
        return None
    return SpeedFigures(*times, result.peak_resident_bytes, result.context_tokens, result.prompt_tokens, date)


def _as_json(ledger: Ledger) -> bytes:
    rows = [dataclasses.asdict(identity) | dataclasses.asdict(figures) for identity, figures in ledger.models]
    return json.dumps({"version": _VERSION, "models": rows}, indent=1, default=str, allow_nan=False).encode()


def _read(path: Path) -> tuple[Ledger, bool]:
    """The ledger, and whether the file must be kept aside: something in it is damaged, or of a newer version."""
    try:
        content = read_json(path)
        rows, newer = content["models"], content.get("version", _VERSION) > _VERSION
        if not isinstance(rows, list):
            return Ledger(), True
    except FileNotFoundError:
        return Ledger(), False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Ledger(), True
    models = []
    for row in rows:
        try:
            models.append((build_leniently(Identity, row), _figures(row)))
        except (ValueError, KeyError, TypeError, AttributeError):  # the others are still good
            continue
    return Ledger(tuple(models)), newer or len(models) < len(rows)


def _figures(row: Any) -> Figures:
    measurements = tuple(build_leniently(Measurement, one) for one in row["measurements"])
    return Figures(measurements, build_leniently(SpeedFigures, row["speed"]) if row["speed"] is not None else None)
