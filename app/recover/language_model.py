"""A Hugging Face folder as a model to learn from or to train: hidden states first, logits of a few positions after.

The two are apart because logits of all positions at once would be the largest thing in memory by far.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from app.convert.checkpoint import open_checkpoint
from app.errors import AppError, Cancelled, RecoverError
from app.operation import Progress, Report, ShouldStop, Stage
from app.prune.loading import load_model
from app.recover.memory import chunk_positions
from app.recover.stored_weights import HeldLinear, set_module

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The types by safetensors' names."""
_SAME_LOGITS = 1e-3


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """`model` is what transformers loads; `linears` are the matrices of its blocks by their names in the files."""

    folder: Path
    model: Any
    linears: tuple[str, ...]

    def hidden(self, tokens: Tensor) -> Tensor:
        """Last hidden states `[windows, length, width]` of `[windows, length]` token ids."""
        result: Tensor = self.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        return result

    def logits(self, hidden: Tensor) -> Tensor:
        """`[..., vocabulary]` in float32, with what the architecture does to them at the end."""
        config = self.model.config
        logits: Tensor = self.model.get_output_embeddings()(hidden)
        if scaling := getattr(config, "logits_scaling", None):  # Granite
            logits = logits / scaling
        if cap := getattr(config, "final_logit_softcapping", None):  # Gemma 2
            logits = torch.tanh(logits / cap) * cap
        return logits

    @property
    def vocabulary(self) -> int:
        """Rows of the output matrix."""
        return int(self.model.get_output_embeddings().weight.shape[0])


def open_model(folder: Path) -> LanguageModel:
    """The model with float32 arithmetic, the matrices of its blocks held as the files have them.

    Raises RecoverError where it cannot be loaded, or computes its logits in a way that is not known here.
    """
    try:
        model: Any = load_model(folder, stored_dtype(folder))
    except AppError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise RecoverError(
            f"“{folder.name}” could not be loaded by transformers: {str(error).strip().splitlines()[0]}",
            "See that the folder is whole, and that the model is of a family that transformers knows.",
        ) from error
    model.eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.config.attention_dropout = 0.0
    opened = LanguageModel(folder, model, tuple(_block_linears(model)))
    if not opened.linears:
        raise RecoverError(f"“{folder.name}” has no linear layers that could be trained.", "GPT-2 is such a model.")
    for name in opened.linears:
        linear = model.get_submodule(name)
        if linear.weight.dtype != torch.float32:
            set_module(model, name, HeldLinear(linear))
    model.float()
    _check_logits(opened)
    return opened


def stored_dtype(folder: Path) -> torch.dtype:
    """What most of the folder's weights are stored as. Raises ConversionError for a folder that is not whole."""
    elements: Counter[str] = Counter()
    for tensor in open_checkpoint(folder).values():
        elements[tensor.dtype] += tensor.elements
    return DTYPES[elements.most_common(1)[0][0]]


def _block_linears(model: Any) -> Iterator[str]:
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not head:
            yield name


def _check_logits(model: LanguageModel) -> None:
    tokens = torch.arange(1, 9)[None] % model.vocabulary
    with torch.no_grad():
        whole, ours = model.model(input_ids=tokens, use_cache=False).logits, model.logits(model.hidden(tokens))
    if not torch.allclose(whole.float(), ours, atol=_SAME_LOGITS, rtol=_SAME_LOGITS):
        raise RecoverError(
            f"“{model.folder.name}” is of an architecture whose output is not known here.",
            "Recovery works for Llama, Mistral, Qwen, Gemma, Granite and their like.",
        )


@contextmanager
def four_bit(model: LanguageModel) -> Iterator[None]:
    """Within it, the matrices of the blocks are what a Q4_0 file would hold of them."""
    modules = {name: model.model.get_submodule(name) for name in model.linears}
    for name, module in modules.items():
        set_module(model.model, name, HeldLinear(module, four_bit=True))
    try:
        yield
    finally:
        for name, module in modules.items():
            set_module(model.model, name, module)


# How far a model is from its teacher on text that nobody trained on: KL divergence and perplexity.


@dataclass(frozen=True, slots=True)
class Distance:
    """Means over all positions: nats of KL(teacher, student), and of the text's next token for each of the two."""

    kl: float
    log_perplexity: float
    teacher_log_perplexity: float

    @property
    def perplexity(self) -> float:
        """The perplexity of the student."""
        return math.exp(min(self.log_perplexity, 700.0))

    @property
    def teacher_perplexity(self) -> float:
        """The perplexity of the teacher."""
        return math.exp(min(self.teacher_log_perplexity, 700.0))


@torch.no_grad()
def measure(
    student: LanguageModel, teacher: LanguageModel, windows: Tensor, report: Report, stop: ShouldStop
) -> Distance:
    """Read every window `[windows, length]` with both. NaN where the student's logits are. Raises Cancelled."""
    sums = torch.zeros(3, dtype=torch.float64)
    for done, window in enumerate(windows):
        report(Progress(Stage.HELD_OUT, done, len(windows)))
        if stop():
            raise Cancelled
        sums += _of_window(student, teacher, window)
    report(Progress(Stage.HELD_OUT, len(windows), len(windows)))
    kl, own, teachers = (sums / (windows.numel() - len(windows))).tolist()
    return Distance(kl, own, teachers)


def _of_window(student: LanguageModel, teacher: LanguageModel, window: Tensor) -> Tensor:
    targets, size = window[1:], chunk_positions(student.vocabulary)
    own, aims = student.hidden(window[None])[0, :-1], teacher.hidden(window[None])[0, :-1]
    sums = torch.zeros(3, dtype=torch.float64)
    for start in range(0, len(targets), size):
        part = slice(start, start + size)
        log_q, log_p = student.logits(own[part]).log_softmax(-1), teacher.logits(aims[part]).log_softmax(-1)
        kl = (log_p.exp() * (log_p - log_q)).sum()
        following = targets[part, None]
        sums += torch.stack([kl, -log_q.gather(1, following).sum(), -log_p.gather(1, following).sum()]).double()
    return sums
