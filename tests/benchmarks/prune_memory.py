"""Peak memory and time of pruning a model of 1B shape, against 3 blocks + activations + 500 MB.

    python -m tests.benchmarks.prune_memory [--methods sparsegpt wanda] [--layers 16] [--chunks 64] [--peer]

Random weights in bf16, a process of its own for each method. Memory is reached in the second block, so that fewer
layers and windows show it too: windows count with what their activations take. With --peer llm-compressor prunes the
same folder on the same windows, in float32, which this kind of processor computes faster than bf16; its process too
reads the folder and writes the result.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

from app.prune.messages import SPARSE
from tests.benchmarks import llm_compressor, pairs
from tests.benchmarks.convert import write_folder
from tests.benchmarks.pairs import Figure, Goal
from tests.benchmarks.processes import Run, run_process
from tests.benchmarks.shapes import SHAPES, Shape
from tests.real_models import CALIBRATION

_OURS = """
import sys
from pathlib import Path
from app.prune.prune import prune
from app.prune.messages import Prune, PruneMethod
source, output, text, method, chunks, threads = sys.argv[1:]
asked = Prune(Path(source), Path(output), PruneMethod(method), 0.5, text=Path(text), chunks=int(chunks),
              threads=int(threads))
prune(asked, lambda event: None, lambda: False)
"""
_WINDOWS = """
import json, sys
from pathlib import Path
from app.prune.block_model import BlockModel
from app.prune.prune import read_windows
from app.prune.messages import Prune, PruneMethod
source, text, chunks, output = sys.argv[1:]
asked = Prune(Path(source), Path(output), PruneMethod.WANDA, 0.5, text=Path(text), chunks=int(chunks))
windows = read_windows(asked, BlockModel(asked.source).config.max_position_embeddings)
Path(output).write_text(json.dumps(windows.tolist()))
"""
_THEIRS = """
import json, sys
import torch, transformers
from llmcompressor import oneshot
from llmcompressor.modifiers.pruning.sparsegpt import SparseGPTModifier
from llmcompressor.modifiers.pruning.wanda import WandaPruningModifier
source, windows, method, output = sys.argv[1:]
torch.set_num_threads(1)
ids = json.load(open(windows))
rows = [{"input_ids": torch.tensor(row), "attention_mask": torch.ones(len(row), dtype=torch.int64)} for row in ids]
model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
modifier = {"wanda": WandaPruningModifier, "sparsegpt": SparseGPTModifier}[method]
oneshot(model=model, processor=transformers.AutoTokenizer.from_pretrained(source),
        dataset=torch.utils.data.DataLoader(rows, batch_size=1),
        recipe=[modifier(sparsity=0.5, mask_structure="0:0", ignore=["re:.*lm_head"])],
        max_seq_length=len(ids[0]), num_calibration_samples=len(ids))
model.to(torch.bfloat16).save_pretrained(output)
"""
_TOKENS, _MB = 256, 1e6


def main() -> int:
    parser = pairs.parser(__doc__, pairs=1)
    parser.add_argument("--methods", nargs="+", default=["sparsegpt"], choices=sorted(SPARSE))
    parser.add_argument("--shape", default="1b", choices=SHAPES)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--chunks", type=int, default=64, help=f"windows of {_TOKENS} tokens (default 64)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer", action="store_true", help="time llm-compressor too, on one thread")
    options = parser.parse_args()
    before = pairs.machine()
    shape = dataclasses.replace(SHAPES[options.shape], layers=options.layers)
    figures = []
    with tempfile.TemporaryDirectory() as name:
        model = write_folder(shape, Path(name) / "model")
        for method in options.methods:
            ours = _ours(method, model, Path(name) / f"ours-{method}", options.chunks, options.threads)
            figures += _alone(method, ours, shape, options.chunks)
            if options.peer:
                figures += _beside(method, ours, _theirs(method, model, Path(name), options.chunks))
    return pairs.show(figures, before, options.json)


def _ours(method: str, model: Path, output: Path, chunks: int, threads: int) -> Run:
    arguments = map(str, (model, output, CALIBRATION, method, chunks, threads))
    return run_process([sys.executable, "-c", _OURS, *arguments], output / "config.json")


def _theirs(method: str, model: Path, place: Path, chunks: int) -> Run:
    windows, output = place / "windows.json", place / f"theirs-{method}"
    run_process([sys.executable, "-c", _WINDOWS, str(model), str(CALIBRATION), str(chunks), str(windows)], windows)
    command = [sys.executable, "-c", _THEIRS, str(model), str(windows), method, str(output)]
    environment = llm_compressor.environment(llm_compressor.libraries())
    return run_process(command, output / "config.json", environment, place)  # it writes logs to where it is started


def _alone(method: str, run: Run, shape: Shape, chunks: int) -> list[Figure]:
    elements, activations = block_elements(shape), chunks * _TOKENS * shape.width * 4
    goal, strict = (3 * elements * size + activations + 500e6 for size in (4, 2))
    words = f"activations {activations / _MB:.0f}; with blocks counted as stored, in bf16: {strict / _MB:.0f} MB"
    seconds, peak = run
    return [
        Figure(f"{method}: peak memory", (peak / _MB,), "MB", Goal(goal / _MB), words),
        Figure(f"{method}: time", (seconds,), "s", note=f"{shape.layers} layers"),
    ]


def _beside(method: str, ours: Run, theirs: Run) -> list[Figure]:
    seconds = f"{ours[0]:.0f} against {theirs[0]:.0f} s"
    sizes = f"{ours[1] / _MB:.0f} against {theirs[1] / _MB:.0f} MB"
    return [
        Figure(f"{method}: time ÷ llm-compressor", (ours[0] / theirs[0],), note=seconds),
        Figure(f"{method}: peak memory ÷ llm-compressor", (ours[1] / theirs[1],), note=sizes),
    ]


def block_elements(shape: Shape) -> int:
    """Weights of one block."""
    kv = shape.kv_heads * shape.width // shape.heads
    return 2 * shape.width**2 + 2 * shape.width * kv + 3 * shape.width * shape.ffn + 2 * shape.width


if __name__ == "__main__":
    sys.exit(main())
