"""The best rounding beside llama-imatrix and llama-quantize: KL divergence to the source, size, speed.

    python -m tests.benchmarks.best [--pairs 3] [--chunks 24]

On two real models, and on both with outliers planted in them: calibrated on tests/data/calibration.txt, judged on
eval-code.txt and eval-chat.txt, of which nothing is in it. About 5 minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.measure.messages import Estimate, MeasureQuality
from app.measure.quality import measure_quality
from app.operation import Context
from app.quantize.messages import Quantize
from app.quantize.quantize import quantize
from app.system.hardware import usable_cores
from app.system.paths import Paths
from tests.app.quantize.best.planted import with_outliers
from tests.benchmarks import pairs
from tests.benchmarks.pairs import Figure, Goal
from tests.benchmarks.peers import tool
from tests.real_models import CALIBRATION, EVAL_CHAT, EVAL_CODE, STDLIB_3M, starter_folder

_GOALS = {("Q4_K_M", False): Goal(0.6), ("Q4_0", True): Goal(0.3)}


def main() -> int:
    parser = pairs.parser(__doc__, pairs=3)
    parser.add_argument("--chunks", type=int, default=24, help="windows of 512 tokens of each text (default 24)")
    options = parser.parse_args()
    before = pairs.machine()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, source in (("21M", starter_folder(folder / "starter")), ("3M", STDLIB_3M)):
            for planted in (False, True):
                model = with_outliers(folder / f"{title}-planted", source) if planted else source
                place = folder / f"{title}-{planted}"
                place.mkdir()
                words = f"{title}{', outliers' if planted else ''}"
                for kind in ("Q4_K_M", "Q4_0"):
                    figures += _compare(words, model, place, kind, _GOALS.get((kind, planted)), options.chunks)
        figures += _speeds(folder / "21M-False", options.pairs)
    return pairs.show(figures, before, options.json)


def _compare(title: str, model: Path, place: Path, kind: str, goal: Goal | None, chunks: int) -> list[Figure]:
    reference, source = place / "f32.gguf", place / "bf16.gguf"
    for path, kept in ((reference, "f32"), (source, "bf16")):
        if not path.exists():
            convert(Convert(model, path, kept), Context())
    theirs, matrix = place / f"theirs-{kind}.gguf", place / "imatrix.gguf"
    if not matrix.exists():
        _call("llama-imatrix", "-m", source, "-f", CALIBRATION, "-o", matrix, "-c", 512, "--no-ppl", "--parse-special")
    _call("llama-quantize", "--imatrix", matrix, source, theirs, kind)
    ours, start = place / f"ours-{kind}.gguf", time.monotonic()
    request = Quantize(model, ours, kind, text=CALIBRATION, threads=usable_cores(), best=True)
    quantize(request, Context())
    seconds = time.monotonic() - start
    figures = []
    for text in (EVAL_CODE, EVAL_CHAT):
        mine, other = (_divergence(path, reference, text, chunks) for path in (ours, theirs))
        words = " against ".join(f"{1000 * e.value:.2f} ± {1000 * e.error:.2f}" for e in (mine, other))
        ratio = (mine.value / other.value,)
        figures.append(Figure(f"{title} {kind}, {text.stem}: KL ÷ theirs", ratio, goal=goal, note=f"KL x 1000 {words}"))
    sizes = ours.stat().st_size / theirs.stat().st_size
    figures.append(Figure(f"{title} {kind}: size ÷ theirs", (sizes,), goal=Goal(1.01), note=f"made in {seconds:.0f} s"))
    return figures


def _divergence(model: Path, reference: Path, text: Path, chunks: int) -> Estimate:
    paths = Paths(reference.parent / "home").ensure()
    request = MeasureQuality(model, reference, text, 512, chunks, usable_cores())
    found = measure_quality(request, Context(paths=paths)).kl_mean
    assert found is not None
    return found


def _speeds(place: Path, count: int) -> list[Figure]:
    """Tokens/s of llama-bench on ours and on theirs, in turns."""
    figures = []
    for kind in ("Q4_K_M", "Q4_0"):
        turns = [[_decode(place / f"{who}-{kind}.gguf") for who in ("ours", "theirs")] for _ in range(count)]
        ratios = tuple(mine / other for mine, other in turns)
        figures.append(Figure(f"21M {kind}: tokens/s in llama-bench ÷ theirs", ratios, goal=Goal(0.95, at_least=True)))
    return figures


def _decode(model: Path) -> float:
    said = _call("llama-bench", "-m", model, "-p", 0, "-n", 128, "-r", 5, "-t", usable_cores(), "-o", "json")
    return float(json.loads(said)[0]["avg_ts"])


def _call(name: str, *arguments: object) -> str:
    done = subprocess.run([tool(name), *map(str, arguments)], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
