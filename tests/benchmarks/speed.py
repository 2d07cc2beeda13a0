"""Predicted against measured ms a token: models of several shapes, types and contexts, in the same minutes.

    python -m tests.benchmarks.speed [--rounds 3]

Each round measures the machine (5 s) and then runs every model through the child, as a chat would. About 4 minutes.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from gguf import GGMLQuantizationType as Type

from app.engine.messages import Generate, LoadModel, MachineSpeed, MeasureMachine, Message, Role, Sampling
from app.fit.judgement import ReadProfile
from app.fit.speed import predicted_ms
from app.library.gguf_file import read_header
from tests.benchmarks import pairs
from tests.benchmarks.engine import Child
from tests.benchmarks.pairs import Figure, Goal
from tests.benchmarks.shapes import model_of_shape
from tests.random_models import RECIPES, random_model

_WIDE = {"width": 1536, "heads": 12, "kv_heads": 4, "head": 128, "ffn": 6144, "vocabulary": 32000}
_DEPTHS = (64, 2500)
_NEW_TOKENS = 48


def main() -> int:
    parser = pairs.parser(__doc__, pairs=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    before = pairs.machine()
    errors: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        models = _models(Path(folder))
        for number in range(options.rounds):
            pairs.wait_for_quiet()
            with tempfile.TemporaryDirectory() as home, Child(Path(home)) as child:
                speed = child.ask(MeasureMachine())
                known = ", ".join(f"{one.type} {one.bytes_per_second / 1e9:.1f}" for one in speed.types)
                pairs.say(f"round {number + 1}: {known} GB/s, {speed.ms_per_layer * 1000:.0f} µs a layer")
                for name, path in models.items():
                    for depth in _DEPTHS:
                        predicted, actual = _measure(child, path, depth, speed)
                        errors.setdefault((name, depth), []).append((predicted / actual - 1) * 100)
                        pairs.say(f"  {name:10} {depth:5} tokens: predicted {predicted:6.2f}, took {actual:6.2f} ms")
    cells = [Figure(f"{name}, {depth} tokens", tuple(values), "%") for (name, depth), values in errors.items()]
    medians = tuple(abs(statistics.median(values)) for values in errors.values())
    figures = [*cells, Figure("error of the prediction", medians, "%", goal=Goal(15))]
    return pairs.show(figures, before, options.json)


def _models(folder: Path) -> dict[str, Path]:
    models = {"1b Q4_0": model_of_shape("1b")}
    for architecture, layers, kind in (("qwen2", 12, Type.Q8_0), ("llama", 12, Type.F16), ("qwen3moe", 8, Type.Q4_0)):
        place = folder / f"{architecture}-{kind.name}"
        place.mkdir()
        numbers = _WIDE | {"layers": layers}
        if RECIPES[architecture].experts:
            numbers |= {"ffn": 2048, "experts": 16, "used_experts": 4}
        models[f"{architecture} {kind.name}"] = random_model(architecture, place, kind=kind, **numbers)
    return models


def _measure(child: Child, path: Path, depth: int, speed: MachineSpeed) -> tuple[float, float]:
    """Predicted and actual ms a token after a prompt of about `depth` tokens."""
    loaded = child.ask(LoadModel(path, 4096, load_anyway=True))
    text = "ab " * int(depth / 2.05)
    told: list[object] = []
    sampling = Sampling(temperature=0.7, seed=1, max_tokens=_NEW_TOKENS, ignore_end=True)
    child.ask(Generate("", (Message(Role.USER, text),), sampling), told.append)
    statistics_ = next(s for event in reversed(told) if (s := getattr(event, "statistics", None)) is not None)
    filled = (statistics_.prompt_tokens + _NEW_TOKENS // 2) / loaded.context_tokens
    reads = ReadProfile.of_header(read_header(path))
    return predicted_ms(reads, int(loaded.need.kv_bytes * filled), speed), statistics_.ms_per_token_median


if __name__ == "__main__":
    raise SystemExit(main())
