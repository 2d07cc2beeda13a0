"""Memory predicted from the header against the measured peak of the child after a prompt that fills the context.

    python -m tests.benchmarks.fit [--shape 1b] [--contexts 1024 4096 16384] [--quick]

Beside both stands what a formula gives: file size, 2 x layers x KV heads x head width x context, and 10 %. About
6 minutes; `--quick` leaves out the 1B shape.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.engine.messages import Generate, KvType, LoadModel, Message, Role, Sampling
from app.library.gguf_file import read_header
from tests.benchmarks import pairs
from tests.benchmarks.engine import Child
from tests.benchmarks.pairs import Figure, Goal
from tests.benchmarks.shapes import model_of_shape
from tests.random_models import RECIPES, random_model

_MB = 1e6
_ALLOWED_MB = 20
_WIDE = {"width": 1024, "layers": 8, "heads": 16, "kv_heads": 4, "head": 64, "ffn": 3072, "vocabulary": 32000}
_BYTES_AN_ELEMENT = {KvType.F16: 2.0, KvType.Q8_0: 1.0625}


@dataclass(frozen=True)
class Row:
    """One cell of the grid, in bytes."""

    model: str
    context: int
    kv_type: KvType
    safe_mode: bool
    predicted: int
    measured: int
    formula: int

    @property
    def error(self) -> float:
        return (self.predicted - self.measured) / self.measured

    @property
    def is_good(self) -> bool:
        return abs(self.error) <= 0.03 or abs(self.predicted - self.measured) <= _ALLOWED_MB * _MB

    def __str__(self) -> str:
        mode = "as it is" if self.safe_mode else "repacked"
        sizes = f"{self.predicted / _MB:8.1f} {self.measured / _MB:8.1f} {self.formula / _MB:8.1f}"
        return f"{self.model:10} {self.context:6} {self.kv_type.value:5} {mode:8} {sizes} {self.error:+7.1%}"


def main() -> int:
    parser = pairs.parser(__doc__, pairs=1)
    parser.add_argument("--shape", default="1b")
    parser.add_argument("--contexts", type=int, nargs="+", default=[1024, 4096, 16384])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="one model: an architecture, or the shape")
    options = parser.parse_args()
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as folder:
        models = {name: random_model(name, Path(folder), **_numbers(name)) for name in RECIPES}
        if not options.quick:
            models[options.shape] = model_of_shape(options.shape)
        models = {name: path for name, path in models.items() if options.only in ("", name)}
        rows = list(_grid(models, options))
    errors = tuple(abs(row.error) * 100 for row in rows)
    formula = tuple(abs(row.formula - row.measured) / row.measured * 100 for row in rows)
    worst = max(0.0, *(abs(row.predicted - row.measured) / _MB for row in rows if abs(row.error) > 0.03), 0.0)
    figures = [
        Figure("cells within 3 % or 20 MB", (sum(row.is_good for row in rows) / len(rows),), goal=Goal(1.0, True)),
        Figure("error", errors, "%"),
        Figure("error of the formula", formula, "%"),
        Figure("largest error beyond 3 %", (worst,), "MB", goal=Goal(_ALLOWED_MB)),
    ]
    return pairs.show(figures, before, options.json)


def _numbers(name: str) -> dict[str, int]:
    return _WIDE | {"qwen3moe": {"ffn": 512, "layers": 6}, "gemma3": {"layers": 12}}.get(name, {})


def _grid(models: dict[str, Path], options: argparse.Namespace):
    pairs.say("model     context  KV    weights  predicted measured formula   error   (MB)")
    for name, model in models.items():
        contexts = [c for c in options.contexts if name != options.shape or c <= 4096]
        for context, kv_type, safe in itertools.product(contexts, (KvType.F16, KvType.Q8_0), (False, True)):
            row = _measure(name, model, context, kv_type, safe)
            pairs.say(str(row))
            yield row


def _measure(name: str, model: Path, context: int, kv_type: KvType, safe: bool) -> Row:
    with tempfile.TemporaryDirectory() as home, Child(Path(home)) as child:
        loaded = child.ask(LoadModel(model, context, kv_type, safe_mode=safe, load_anyway=True))
        text = "ab " * int(
            (loaded.context_tokens * 0.75 - 30) / 2.05
        )  # two tokens each; a quarter is kept for the answer
        child.ask(Generate("", (Message(Role.USER, text),), Sampling(temperature=0.0, max_tokens=8, ignore_end=True)))
        measured = _peak_bytes(child.ps)
    header = read_header(model)
    width = RECIPES[name].head if name in RECIPES else header.embedding // header.heads
    width = _numbers(name).get("head", width) if name in RECIPES else width
    kv = 2 * header.layers * header.kv_heads * width * context * _BYTES_AN_ELEMENT[kv_type]
    formula = int((header.file_bytes + kv) * 1.1)
    return Row(name, loaded.context_tokens, kv_type, safe, loaded.need.resident_bytes, measured, formula)


def _peak_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    raise SystemExit(main())
