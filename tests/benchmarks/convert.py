"""Our converter beside llama.cpp's convert_hf_to_gguf.py, of the same version, on a 1B model in bf16.

    python -m tests.benchmarks.convert [--pairs 3] [--type bf16]

The peer runs with this environment's torch and transformers and its own gguf. It knows published tokenizers only, so
the name of the pre-tokenizer is given to it. The tensors of both files must be the same, byte for byte.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

from tests.benchmarks import pairs
from tests.benchmarks.pairs import Figure, Goal, watched
from tests.benchmarks.peers import _source
from tests.benchmarks.processes import Run, run_process
from tests.benchmarks.shapes import SHAPES, Shape
from tests.real_models import STDLIB_3M

_OURS = """
import sys
from pathlib import Path
from app.convert.conversion import convert
from app.convert.messages import Convert
convert(Convert(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]), lambda event: None, lambda: False)
"""
_THEIRS = """
import sys, runpy
sys.path[:0] = [sys.argv[1] + "/gguf-py", sys.argv[1]]
import conversion.base
conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "dbrx"
script = sys.argv[1] + "/convert_hf_to_gguf.py"
sys.argv = [script, sys.argv[2], "--outfile", sys.argv[3], "--outtype", sys.argv[4]]
runpy.run_path(script, run_name="__main__")
"""


def main() -> int:
    parser = pairs.parser(__doc__, pairs=3)
    parser.add_argument("--type", default="bf16", choices=("bf16", "f16", "f32", "q8_0"))
    parser.add_argument("--shape", default="1b", choices=SHAPES)
    options = parser.parse_args()
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_folder(SHAPES[options.shape], folder / "model")
        ours, theirs = folder / "ours.gguf", folder / "theirs.gguf"
        vendor = _source()
        own = [sys.executable, "-c", _OURS, str(model), str(ours), options.type]
        peer = [sys.executable, "-c", _THEIRS, str(vendor), str(model), str(theirs), options.type]
        turns = pairs.in_turns(
            options.pairs,
            lambda: watched(lambda: run_process(own, ours)),
            lambda: watched(lambda: run_process(peer, theirs)),
        )
        figures = _figures(list(zip(turns.ours, turns.theirs, strict=True)), turns.note)
        figures.append(Figure("tensors that differ", (float(differing(ours, theirs)),), goal=Goal(0)))
    return pairs.show(figures, before, options.json)


def _figures(both: list[tuple[Run, Run]], note: str) -> list[Figure]:
    seconds, peaks = ([[run[n] for run in pair] for pair in both] for n in (0, 1))
    spoken = " against ".join(f"{statistics.median(side):.1f}" for side in zip(*seconds, strict=True))
    sizes = " against ".join(f"{statistics.median(side) / 1e6:.0f}" for side in zip(*peaks, strict=True))
    return [
        Figure("time, ours ÷ theirs", tuple(a / b for a, b in seconds), goal=Goal(0.5), note=f"{spoken} s; {note}"),
        Figure("peak memory, ours ÷ theirs", tuple(a / b for a, b in peaks), goal=Goal(0.5), note=f"{sizes} MB"),
    ]


def differing(ours: Path, theirs: Path) -> int:
    """How many tensors are in one file only, or have another type or other bytes."""
    mine, other = ({t.name: t for t in gguf.GGUFReader(path).tensors} for path in (ours, theirs))
    same = [
        name
        for name in mine.keys() & other.keys()
        if mine[name].tensor_type == other[name].tensor_type and np.array_equal(mine[name].data, other[name].data)
    ]
    return len(mine.keys() | other.keys()) - len(same)


def write_folder(shape: Shape, folder: Path, seed: int = 1) -> Path:
    """A Hugging Face folder of that shape with random bf16 weights, one tensor in memory at a time."""
    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).write_bytes((STDLIB_3M / name).read_bytes())
    config = json.loads((STDLIB_3M / "config.json").read_text()) | {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.width // shape.heads,
        "intermediate_size": shape.ffn,
        "vocab_size": shape.vocabulary,
    }
    (folder / "config.json").write_text(json.dumps(config))
    shapes = _tensors(shape)
    header: dict[str, object] = {}
    at = 0
    for name, dimensions in shapes.items():
        end = at + 2 * int(np.prod(dimensions))
        header[name] = {"dtype": "BF16", "shape": dimensions, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    rng = np.random.default_rng(seed)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for dimensions in shapes.values():
            values = rng.standard_normal(dimensions, np.float32) * np.float32(dimensions[-1] ** -0.5)
            file.write((values.view(np.uint32) >> 16).astype("<u2").data)
    return folder


def _tensors(shape: Shape) -> dict[str, tuple[int, ...]]:
    width, kv = shape.width, shape.kv_heads * shape.width // shape.heads
    tensors: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape.vocabulary, width)}
    for n in range(shape.layers):
        tensors |= {
            f"model.layers.{n}.{name}.weight": dimensions
            for name, dimensions in {
                "input_layernorm": (width,),
                "self_attn.q_proj": (width, width),
                "self_attn.k_proj": (kv, width),
                "self_attn.v_proj": (kv, width),
                "self_attn.o_proj": (width, width),
                "post_attention_layernorm": (width,),
                "mlp.gate_proj": (shape.ffn, width),
                "mlp.up_proj": (shape.ffn, width),
                "mlp.down_proj": (width, shape.ffn),
            }.items()
        }
    return tensors | {"model.norm.weight": (width,)}


if __name__ == "__main__":
    sys.exit(main())
