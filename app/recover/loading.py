"""The way from a request to what training needs: options checked, memory chosen, both models open, the texts read."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from app.convert.checkpoint import as_float32, open_checkpoint
from app.errors import Cancelled, RecoverError, StorageError
from app.operation import Progress, Report, ShouldStop, Stage
from app.recover.adapters import SPARSE_FROM, Training, prepare
from app.recover.language_model import LanguageModel, open_model, stored_dtype
from app.recover.memory import Need, choose_way, shape_of
from app.recover.messages import Recover
from app.recover.stored_weights import share_equal
from app.recover.texts import Texts, Writer, openings_of, read_texts, start_token
from app.system.hardware import physical_cores

GRIDS = ("", "Q4_0")


@dataclass
class Ready:
    """Both models in memory, the student not yet changed."""

    student: LanguageModel
    teacher: LanguageModel
    tokenizer: Any
    texts: Texts
    stored: torch.dtype

    def writer(self, request: Recover) -> Writer:
        """The writer of the teacher's text."""
        start = start_token(self.tokenizer)
        openings = openings_of(self.tokenizer, start)
        return Writer(self.teacher, openings, self._ends(), request.context_tokens, request.seed)

    def make_trainable(self, request: Recover, need: Need) -> Training:
        """Adapters or all weights; what is frozen and alike is kept once for both models."""
        training = prepare(self.student, request, self.stored)
        share_equal(self.student.model, self.teacher.model)
        if need.way.recompute:
            self.student.model.train()  # without dropout; only then does transformers compute blocks twice
            self.student.model.activation_checkpointing_enable({"use_reentrant": False})
        return training

    def _ends(self) -> set[int]:
        configured = getattr(self.teacher.model.generation_config, "eos_token_id", None)
        several = configured if isinstance(configured, list) else [configured]
        return {token for token in (*several, self.tokenizer.eos_token_id) if token is not None}


def check(request: Recover) -> None:
    """Everything that is wrong whatever the models are. Raises RecoverError, StorageError."""
    _check_options(request)
    for folder, what in ((request.model, "pruned model"), (request.teacher, "teacher")):
        if not (folder / "config.json").is_file():
            raise RecoverError(
                f"“{folder.name}” is no folder with a model in Hugging Face's format, as the {what} must be.",
                "Recovery comes before quantizing: give the folders, and not GGUF files.",
            )
    if request.model.samefile(request.teacher) and not request.quantization_aware:
        raise RecoverError(
            f"“{request.model.name}” cannot be its own teacher: it is as near to itself as can be.",
            "Give the folder that it was pruned from as the teacher.",
        )
    if request.output.exists():
        raise StorageError(f"“{request.output.name}” is there already.", "Delete it, or choose another name.")
    if not request.output.parent.is_dir():
        raise StorageError(f"There is no folder {request.output.parent}.", "Make it, or choose another one.")
    if not os.access(request.output.parent, os.W_OK):
        raise StorageError(f"The folder {request.output.parent} may not be written to.", "Choose another one.")


def _check_options(request: Recover) -> None:
    rate = request.learning_rate
    wrong = {
        "The budget must be at least one token.": request.budget_tokens < 1,
        "The temperature must be a number above 0.": not 0 < request.temperature < math.inf,
        "The share of the cross-entropy must be from 0 to 1.": not 0 <= request.hard_loss <= 1,
        "The rank of the adapters must be at least 1.": request.rank < 1,
        "The learning rate must be a number, 0 or above.": not 0 <= rate < math.inf,
        "A window must have at least 16 tokens.": request.context_tokens < 16,
        "A step must have at least one window.": request.batch_windows < 1,
        "Training on a grid is offered for Q4_0 only.": request.quantization_aware not in GRIDS,
    }
    for sentence, is_so in wrong.items():
        if is_so:
            raise RecoverError(sentence)


def plan_memory(request: Recover) -> Need:
    """The way that fits into memory. Raises RecoverError, ConversionError."""
    model, teacher = shape_of(request.model), shape_of(request.teacher)
    return choose_way(request, model, teacher, sparse=_is_sparse(request.model))


def _is_sparse(folder: Path) -> bool:
    """Whether the weights have zeros, by a few rows of the first block."""
    matrices = [t for t in open_checkpoint(folder).values() if len(t.shape) == 2 and ".mlp." in t.name]
    rows = [as_float32(t.rows(0, min(16, t.shape[0])), t.dtype) for t in matrices[:3]]
    return any(float((values == 0).mean()) > SPARSE_FROM for values in rows)


def load(request: Recover, report: Report, stop: ShouldStop) -> Ready:
    """Open both models and the texts. Raises RecoverError, ConversionError, AppError, Cancelled."""
    with _quiet():
        report(Progress(Stage.LOAD, 0, 1000))
        tokenizer = _tokenizer(request)
        texts = read_texts(request, tokenizer, start_token(tokenizer))
        teacher = open_model(request.teacher)
        report(Progress(Stage.LOAD, 500, 1000))
        if stop():
            raise Cancelled
        student = open_model(request.model)
        report(Progress(Stage.LOAD, 1000, 1000))
    if student.vocabulary != teacher.vocabulary:
        raise RecoverError(
            f"“{request.model.name}” knows {student.vocabulary:,} tokens and the teacher {teacher.vocabulary:,}.",
            "The teacher must be the model that this one was cut from.",
        )
    return Ready(student, teacher, tokenizer, texts, stored_dtype(request.model))


def _tokenizer(request: Recover) -> Any:
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(request.teacher, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecoverError(
            f"The tokenizer of “{request.teacher.name}” cannot be loaded: {str(error).strip().splitlines()[0]}",
            "Download the model's tokenizer files too.",
        ) from error
    ours, theirs = request.model / "tokenizer.json", request.teacher / "tokenizer.json"
    if ours.is_file() and theirs.is_file() and ours.read_bytes() != theirs.read_bytes():
        own = AutoTokenizer.from_pretrained(request.model, local_files_only=True)
        if own.get_vocab() != found.get_vocab():
            raise RecoverError(
                "The two models have different vocabularies.",
                "The teacher must be the model that this one was cut from.",
            )
    return found


@contextmanager
def threads(count: int) -> Iterator[None]:
    """torch's threads; 0: one core is left to the rest of the computer."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or max(1, physical_cores() - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and remarks of transformers among our own lines."""
    from transformers.utils import logging as remarks

    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    bars = remarks.is_progress_bar_enabled()
    remarks.disable_progress_bar()  # type: ignore[no-untyped-call,unused-ignore]
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            remarks.enable_progress_bar()  # type: ignore[no-untyped-call,unused-ignore]
