"""What taking parts of a model away costs and brings: size, memory, ms a token, perplexity, KL divergence.

    python -m tests.benchmarks.prune_structured [--pairs 1] [--chunks 24] [--windows 64] [--only "FFN -50"]

The starter model: FFN a quarter and a half narrower, KV groups, layers, widths by layer, each with and without the
refit, in Q4_0 and Q8_0, against its own bf16 on tests/data/eval-code.txt. Calibrated on tests/data/calibration.txt, of
which nothing is in it. About 20 minutes with 12 chunks.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.engine.messages import Bench, LoadModel
from app.measure.messages import MeasureQuality, Quality
from app.measure.quality import measure_quality
from app.operation import Context, Event
from app.prune.messages import LayerImportance, Prune, PruneMethod
from app.prune.prune import prune
from app.quantize.messages import Quantize
from app.quantize.quantize import quantize
from app.system.paths import Paths
from tests.benchmarks import pairs
from tests.benchmarks.engine import Child
from tests.benchmarks.pairs import Figure, Goal
from tests.real_models import CALIBRATION, EVAL_CODE, starter_folder

_FFN, _KV, _LAYERS = PruneMethod.FFN, PruneMethod.KV_GROUPS, PruneMethod.LAYERS
_CUTS: dict[str, dict[str, Any]] = {
    "FFN -17 %": {"method": _FFN, "amount": 0.17},
    "FFN -33 %": {"method": _FFN, "amount": 0.33},
    "FFN -25 % (width 1152)": {"method": _FFN, "amount": 0.25, "width_multiple": 128},
    "FFN -50 %": {"method": _FFN, "amount": 0.5},
    "FFN -50 % by layer": {"method": _FFN, "amount": 0.5, "per_layer": True},
    "KV groups 4 to 3": {"method": _KV, "amount": 0.25},
    "KV groups 4 to 2": {"method": _KV, "amount": 0.5},
    "KV groups 4 to 2 by layer": {"method": _KV, "amount": 0.5, "per_layer": True},
    "1 of 6 layers": {"method": _LAYERS, "amount": 0.17},
    "2 of 6 layers": {"method": _LAYERS, "amount": 0.33},
    "2 of 6 layers by leaving out": {"method": _LAYERS, "amount": 0.33, "importance": LayerImportance.LEAVE_OUT},
}
_TYPES = ("Q4_0", "Q8_0")


@dataclass(frozen=True)
class Row:
    """One model in one type."""

    name: str
    type: str
    size_bytes: int
    peak_bytes: int
    ms_per_token: tuple[float, ...]
    quality: Quality

    def __str__(self) -> str:
        kl, top = self.quality.kl_mean, self.quality.top_1
        assert kl is not None
        assert top is not None
        return (
            f"{self.name:38} {self.type:5} {self.size_bytes / 1e6:6.2f} MB {self.peak_bytes / 1e6:5.0f} MB "
            f"{statistics.median(self.ms_per_token):6.2f} ms {self.quality.perplexity.value:7.3f} {kl.value:8.4f} "
            f"{100 * top.value:5.1f} %"
        )


def main() -> int:
    parser = pairs.parser(__doc__, pairs=1)
    parser.add_argument("--chunks", type=int, default=24, help="windows of 512 tokens to judge on (default 24)")
    parser.add_argument("--windows", type=int, default=64, help="windows of 256 tokens to calibrate on (default 64)")
    parser.add_argument("--only", nargs="*", default=[""], help="cuts whose names begin so (default all)")
    options = parser.parse_args()
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = starter_folder(folder / "starter")
        reference = folder / "reference.gguf"
        convert(Convert(source, reference, "bf16"), Context(report=_ignore))
        folders = {"dense": source} | _cut(source, folder, options.only, options.windows)
        pairs.say(f"{'':38} {'type':5} {'file':>9} {'peak':>8} {'a token':>9} {'ppl':>7} {'KL':>8} {'top-1':>7}")
        rows = [
            _measure(title, place, kind, reference, folder, options.pairs, options.chunks)
            for title, place in folders.items()
            for kind in _TYPES
        ]
    return pairs.show(_figures(rows), before, options.json)


def _cut(source: Path, folder: Path, only: list[str], windows: int) -> dict[str, Path]:
    made: dict[str, Path] = {}
    for title, values in _CUTS.items():
        if not title.startswith(tuple(only)):
            continue
        for refit in (True, False) if values["method"] is not _LAYERS else (True,):
            name = title if refit else f"{title}, no refit"
            output = folder / f"cut-{len(made)}"
            request = Prune(source, output, refit=refit, text=CALIBRATION, chunks=windows, threads=1, **values)
            result = prune(request, Context(report=_ignore))
            pairs.say(f"{name}: {result.recipe}, {result.seconds:.1f} s")
            made[name] = output
    return made


def _measure(title: str, place: Path, kind: str, reference: Path, folder: Path, count: int, chunks: int) -> Row:
    file = folder / f"{place.name}-{kind}.gguf"
    quantize(Quantize(place, file, kind, threads=1), Context(report=_ignore))
    request = MeasureQuality(file, reference, EVAL_CODE, chunks=chunks, threads=1)
    quality = measure_quality(request, Context(paths=Paths(folder), report=_ignore))
    speeds = []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as home, Child(Path(home)) as child:
            speeds.append(child.ask(Bench(LoadModel(file, 1024), prompt_tokens=128, new_tokens=64)))
    peak = max(speed.peak_resident_bytes for speed in speeds)
    row = Row(title, kind, file.stat().st_size, peak, tuple(speed.ms_per_token_median for speed in speeds), quality)
    pairs.say(str(row))
    return row


def _figures(rows: list[Row]) -> list[Figure]:
    """What the refit is worth, and what each cut brings, in Q8_0."""
    of = {row.name: row for row in rows if row.type == "Q8_0"}
    figures = []
    for name, row in of.items():
        if without := of.get(f"{name}, no refit"):
            goal = Goal(0.5) if name == "FFN -50 %" else None
            figures.append(Figure(f"{name}: KL with refit ÷ without", (_kl(row) / _kl(without),), goal=goal))
            figures.append(Figure(f"{name}: size ÷ dense", (row.size_bytes / of["dense"].size_bytes,), goal=Goal(1.0)))
    return figures


def _kl(row: Row) -> float:
    assert row.quality.kl_mean is not None
    return row.quality.kl_mean.value


def _ignore(_event: Event) -> None:
    """Nothing is shown on the way."""


if __name__ == "__main__":
    sys.exit(main())
