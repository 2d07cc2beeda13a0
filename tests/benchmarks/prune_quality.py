"""What each way to prune costs in quality: perplexity, KL divergence and agreement, on the real models.

    python -m tests.benchmarks.prune_quality [--model 21m|3m] [--windows 128] [--chunks 24] [--text eval-code|eval-chat]
        [--only "FFN -50"]

Calibrated on tests/data/calibration.txt and judged on a text of which nothing is in it, both models in bf16. Beside the
rows stand the WikiText-2 perplexities that were published of LLaMA-2-7B (context 4096): they are of a model 300 times
as large, which loses less, and show in which order the methods are to come. Sources: the README of locuslab/wanda.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.measure.messages import MeasureQuality, Quality
from app.measure.quality import measure_quality
from app.operation import Context, Event
from app.prune.messages import Prune, PruneMethod
from app.prune.prune import prune
from app.system.paths import Paths
from tests.benchmarks import pairs
from tests.benchmarks.pairs import Figure, Goal, say
from tests.real_models import CALIBRATION, EVAL_CHAT, EVAL_CODE, STDLIB_3M, starter_folder

_TEXTS = {"eval-code": EVAL_CODE, "eval-chat": EVAL_CHAT}
_HALF: dict[str, Any] = {"amount": 0.5}
_FFN: dict[str, Any] = {"method": PruneMethod.FFN}
_CUTS: dict[str, dict[str, Any]] = {
    "magnitude 50 %": {"method": PruneMethod.MAGNITUDE, **_HALF},
    "magnitude 50 %, global": {"method": PruneMethod.GLOBAL_MAGNITUDE, **_HALF},
    "Wanda 50 %": {"method": PruneMethod.WANDA, **_HALF},
    "SparseGPT 50 %": {"method": PruneMethod.SPARSEGPT, **_HALF},
    "magnitude 2:4": {"method": PruneMethod.MAGNITUDE, "pattern": "2:4", **_HALF},
    "Wanda 2:4": {"method": PruneMethod.WANDA, "pattern": "2:4", **_HALF},
    "SparseGPT 2:4": {"method": PruneMethod.SPARSEGPT, "pattern": "2:4", **_HALF},
    "FFN -25 %": {**_FFN, "amount": 0.25, "width_multiple": 64},
    "FFN -25 %, no refit": {**_FFN, "amount": 0.25, "width_multiple": 64, "refit": False},
    "FFN -50 %": {**_FFN, "amount": 0.5, "width_multiple": 64},
    "FFN -50 %, no refit": {**_FFN, "amount": 0.5, "width_multiple": 64, "refit": False},
    "FFN -50 %, gate and up too": {**_FFN, "amount": 0.5, "width_multiple": 64, "refit_gate_up": True},
    "KV groups -50 %": {"method": PruneMethod.KV_GROUPS, **_HALF},
    "KV groups -50 %, no refit": {"method": PruneMethod.KV_GROUPS, "refit": False, **_HALF},
    "1 layer": {"method": PruneMethod.LAYERS, "amount": 0.17},
}
_PUBLISHED = {
    "dense": "5.12",
    "magnitude 50 %": "14.89",
    "Wanda 50 %": "6.42",
    "SparseGPT 50 %": "6.51",
    "magnitude 2:4": "54.59",
    "Wanda 2:4": "11.02",
    "SparseGPT 2:4": "10.17",
}


def main() -> int:
    parser = pairs.parser(__doc__, pairs=1)
    parser.add_argument("--model", choices=("21m", "3m"), default="21m")
    parser.add_argument("--windows", type=int, default=128, help="of 256 tokens to calibrate on (default 128)")
    parser.add_argument("--chunks", type=int, default=24, help="windows of 512 tokens to judge on (default 24)")
    parser.add_argument("--text", choices=_TEXTS, default="eval-code")
    parser.add_argument("--only", nargs="*", default=[""], help="cuts whose names begin so (default all)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = starter_folder(folder / "starter") if options.model == "21m" else STDLIB_3M
        judge = _Judge(folder, source, _TEXTS[options.text], options.chunks, options.threads)
        say(f"{'':28} {'perplexity':>10} {'KL':>8} {'top-1':>7}   LLaMA-2-7B")
        rows = {"dense": judge.row("dense", source)}
        for title in (one for one in _CUTS if one.startswith(tuple(options.only))):
            output = folder / f"cut-{len(rows)}"
            request = Prune(
                source, output, text=CALIBRATION, chunks=options.windows, threads=options.threads, **_CUTS[title]
            )
            prune(request, Context(report=_ignore))
            rows[title] = judge.row(title, output)
    return pairs.show(_figures(rows), before, options.json)


class _Judge:
    """Measures folders against the source, on one text."""

    def __init__(self, folder: Path, source: Path, text: Path, chunks: int, threads: int) -> None:
        self._folder, self._text, self._chunks, self._threads = folder, text, chunks, threads
        self._reference = self._converted(source, "source")

    def row(self, title: str, place: Path) -> Quality:
        """Print it and return it."""
        model = self._reference if title == "dense" else self._converted(place, place.name)
        request = MeasureQuality(model, self._reference, self._text, chunks=self._chunks, threads=self._threads)
        quality = measure_quality(request, Context(paths=Paths(self._folder), report=_ignore))
        kl, top = quality.kl_mean, quality.top_1
        assert kl is not None
        assert top is not None
        say(
            f"{title:28} {quality.perplexity.value:10.3f} {kl.value:8.4f} {100 * top.value:5.1f} %"
            f"   {_PUBLISHED.get(title, '')}"
        )
        return quality

    def _converted(self, folder: Path, name: str) -> Path:
        return convert(Convert(folder, self._folder / f"{name}.gguf", "bf16"), Context(report=_ignore)).path


def _figures(rows: dict[str, Quality]) -> list[Figure]:
    """Of the rows that were asked for."""
    ratios = (
        ("FFN -50 %", "FFN -50 %, no refit", 0.5),
        ("FFN -50 %, gate and up too", "FFN -50 %, no refit", 0.5),
        ("SparseGPT 50 %", "magnitude 50 %", 1.0),
        ("SparseGPT 2:4", "magnitude 2:4", 1.0),
    )
    return [
        Figure(f"KL of {one} ÷ {other}", (_kl(rows[one]) / _kl(rows[other]),), goal=Goal(limit))
        for one, other, limit in ratios
        if one in rows and other in rows
    ]


def _kl(quality: Quality) -> float:
    assert quality.kl_mean is not None
    return quality.kl_mean.value


def _ignore(_event: Event) -> None:
    """Nothing is shown on the way."""


if __name__ == "__main__":
    sys.exit(main())
