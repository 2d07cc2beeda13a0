"""Our masks and time beside llm-compressor's, on the same windows of text, in float32.

    python -m tests.benchmarks.prune_oracle [--models 3m 21m] [--chunks 16]

Its one-shot magnitude modifier sets nothing to zero (start and end
are epochs of a training), so that magnitude is held against its definition.

A mask that differs in the first block gives the second one other inputs. So SparseGPT is compared twice: of the whole
run, and matrix by matrix on the weights and the Gram matrix that theirs was given. There ours is asked for as many
zeros as theirs takes: without a pattern that is one more than half in each 128 columns.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from app.operation import Context
from app.prune.block_model import BlockModel
from app.prune.magnitude import Pattern
from app.prune.messages import Prune, PruneMethod
from app.prune.prune import prune, read_windows
from app.prune.sparsegpt import COLUMNS, factor, sparsegpt
from tests.benchmarks import llm_compressor, pairs
from tests.benchmarks.pairs import Figure, Goal
from tests.real_models import CALIBRATION, STDLIB_3M, starter_folder

_WORKER = """
import json, sys, time
import torch, transformers
from llmcompressor import oneshot
from llmcompressor.modifiers.pruning.sparsegpt import SparseGPTModifier, base
from llmcompressor.modifiers.pruning.wanda import WandaPruningModifier

folder, windows, method, pattern, output = sys.argv[1:]
torch.set_num_threads(1)
ids = json.load(open(windows))
rows = [{"input_ids": torch.tensor(row), "attention_mask": torch.ones(len(row), dtype=torch.int64)} for row in ids]
data = torch.utils.data.DataLoader(rows, batch_size=1)
given = []
sparsify_weight = base.sparsify_weight

def noted(module, hessians_dict, **how):
    before = module.weight.clone(), hessians_dict[module].clone()
    loss, after = sparsify_weight(module=module, hessians_dict=hessians_dict, **how)
    given.append((*before, after == 0))
    return loss, after

base.sparsify_weight = noted
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
modifier = {"wanda": WandaPruningModifier, "sparsegpt": SparseGPTModifier}[method]
start = time.monotonic()
oneshot(
    model=model,
    processor=transformers.AutoTokenizer.from_pretrained(folder),
    dataset=data,
    recipe=[modifier(sparsity=0.5, mask_structure=pattern, ignore=["re:.*lm_head"])],
    max_seq_length=len(ids[0]),
    num_calibration_samples=len(ids),
)
seconds = time.monotonic() - start
masks = {name + ".weight": (m.weight == 0) for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
torch.save({"seconds": seconds, "masks": masks, "given": given}, output)
"""
_TOKENS = 128


def main() -> int:
    parser = pairs.parser(__doc__, pairs=1)
    parser.add_argument("--models", nargs="+", default=["3m", "21m"], choices=("3m", "21m"))
    parser.add_argument("--chunks", type=int, default=16, help=f"windows of {_TOKENS} tokens (default 16)")
    options = parser.parse_args()
    before = pairs.machine()
    libraries = llm_compressor.libraries()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        for size in options.models:
            place = Path(name) / size
            original = STDLIB_3M if size == "3m" else starter_folder(Path(name) / "starter")
            source = _in_float32(original, place / "source")
            figures.append(_magnitude(size.upper(), source, place))
            for method in (PruneMethod.WANDA, PruneMethod.SPARSEGPT):
                for pattern in ("", "2:4"):
                    figures += _compare(size.upper(), source, place, method, pattern, options.chunks, libraries)
    return pairs.show(figures, before, options.json)


def _in_float32(original: Path, folder: Path) -> Path:
    """The same model, so that neither side rounds between the blocks."""
    shutil.copytree(original, folder, copy_function=shutil.copyfile)
    tensors = {name: values.float() for name, values in load_file(original / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | {"dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _compare(
    title: str, source: Path, place: Path, method: PruneMethod, pattern: str, chunks: int, libraries: Path
) -> list[Figure]:
    words = f"{title} {method.value} {pattern or '50 %'}"
    asked = Prune(
        source,
        place / f"ours-{method.value}-{pattern.replace(':', '')}",
        method,
        0.5,
        pattern=pattern,
        text=CALIBRATION,
        context_tokens=_TOKENS,
        chunks=chunks,
        threads=1,
    )
    windows = place / "windows.json"
    windows.write_text(json.dumps(read_windows(asked, BlockModel(source).config.max_position_embeddings).tolist()))
    theirs = place / "theirs.pt"
    _run_oracle([str(source), str(windows), method.value, pattern or "0:0", str(theirs)], libraries)
    found = torch.load(theirs, weights_only=True)
    start = time.monotonic()
    prune(asked, Context())
    seconds = time.monotonic() - start
    ours = _masks(asked.output)
    equal = sum(int((ours[name] == found["masks"][name]).sum()) for name in ours)
    share = 100 * equal / sum(mask.numel() for mask in ours.values())
    worst = min((100 * float((ours[name] == found["masks"][name]).float().mean()), name) for name in ours)
    goal = Goal(99.9, at_least=True)
    wanda = method is PruneMethod.WANDA
    least = f"least {worst[0]:.3f} % in {worst[1]}"
    whole = Figure(f"{words}: equal mask entries", (share,), "%", goal if wanda else None, least)
    time_ratio = seconds / found["seconds"]
    timed = Figure(f"{words}: time ÷ theirs", (time_ratio,), note=f"{seconds:.1f} s, with reading, writing")
    if wanda:
        return [whole, timed]
    sizes = [mask.numel() for *_, mask in found["given"]]
    equal = [_equal_on_the_same(*given, pattern) for given in found["given"]]
    least = f"least of {len(equal)} matrices {100 * min(e / n for e, n in zip(equal, sizes, strict=True)):.3f} %"
    same = Figure(f"{words}: equal on the same inputs", (100 * sum(equal) / sum(sizes),), "%", goal, least)
    without = sum(_equal_on_the_same(*given, pattern, updates=False) for given in found["given"])
    share = 100 * without / sum(sizes)
    control = Figure(f"{words}: the same without the error update", (share,), "%", note="the control")
    return [whole, same, control, timed]


def _equal_on_the_same(weights: Tensor, gram: Tensor, mask: Tensor, pattern: str, *, updates: bool = True) -> int:
    """How many of the mask's entries. Without updates no column makes up for those before it."""
    ours, root = weights.float().clone(), gram.clone()
    assert factor(root)
    if not updates:
        root = torch.diag(root.diagonal())
    amount = 0.5 if pattern else 0.5 + 1.5 / (len(weights) * COLUMNS)
    sparsegpt(ours, root, amount, Pattern(2, 4) if pattern else None)
    return int(((ours == 0) == mask).sum())


def _run_oracle(arguments: list[str], libraries: Path) -> None:
    environment = llm_compressor.environment(libraries)
    with tempfile.TemporaryDirectory() as folder:  # it writes logs to where it is started
        done = subprocess.run(
            [sys.executable, "-c", _WORKER, *arguments], cwd=folder, env=environment, capture_output=True, text=True
        )
    if done.returncode:
        raise SystemExit(f"llm-compressor failed:\n{done.stderr[-3000:]}")


def _magnitude(title: str, source: Path, place: Path) -> Figure:
    asked = Prune(source, place / "magnitude", PruneMethod.MAGNITUDE, 0.5)
    prune(asked, Context())
    ours, weights = _masks(asked.output), load_file(source / "model.safetensors")
    equal = sum(int((mask == _smallest_half(weights[name])).sum()) for name, mask in ours.items())
    share = 100 * equal / sum(mask.numel() for mask in ours.values())
    return Figure(f"{title} magnitude 50 %: equal to the definition", (share,), "%", Goal(100, at_least=True))


def _smallest_half(weights: Tensor) -> Tensor:
    order = weights.abs().flatten().argsort(stable=True)
    mask = torch.zeros(weights.numel(), dtype=torch.bool)
    mask[order[: weights.numel() // 2]] = True
    return mask.view_as(weights)


def _masks(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in folder.glob("*.safetensors"):
        tensors |= load_file(file)
    return {name: values == 0 for name, values in tensors.items() if ".layers." in name and values.ndim == 2}


if __name__ == "__main__":
    sys.exit(main())
