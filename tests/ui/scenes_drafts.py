"""Drafts, with sample figures: the picker before and after a verdict, the panel, what was guessed, no memory for it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QWidget

from app.engine.machine_record import remember_ratio
from app.engine.messages import DraftFigures, DraftLoaded, DraftVerdict, MemoryNeed, TooLarge
from app.fit.drafts import DraftCandidate
from app.operation import Progress
from app.operation import Stage as Step
from tests.ui.fake_engine import SAMPLE_MODEL
from tests.ui.scenes import GB, Stage, open_sample_chat, play, sample_memory, steady_times
from ui.chat.message_body import GuessedView

DRAFT = Path("/models/qwen/Qwen3-0.6B-Q8_0.gguf")
NEED = MemoryNeed(int(0.62 * GB), int(0.11 * GB), int(0.3 * GB), 5_000_000)
LOADED = dataclasses.replace(
    SAMPLE_MODEL,
    need=dataclasses.replace(SAMPLE_MODEL.need, draft_bytes=NEED.resident_bytes),
    draft=DraftLoaded(DRAFT, "Qwen3 0.6B", NEED, 21.0),
    prompt_lookup=True,
)
CANDIDATES = (
    DraftCandidate(DRAFT, "Qwen3 0.6B", "", int(1.0 * GB), 1.62),
    DraftCandidate(Path("/models/other/small.gguf"), f"Qwen3 0.6B with a {'very ' * 9}long name", "", GB, 1.5),
    DraftCandidate(Path("/models/a.gguf"), "gemma-3-4b-it", "its vocabulary has 110,208 tokens more"),
    DraftCandidate(Path("/models/b.gguf"), "Falcon-H1 0.5B", "hybrid models cannot take tokens back"),
    DraftCandidate(Path("/models/c.gguf"), "Qwen2.5 32B Instruct", "as large as the model itself"),
)
FIGURES = DraftFigures(True, 210, 150, 96, 246, 52.0, 86.0)
ANSWER = "`os.path.join` joins its arguments into one path, with the separator of the system between them."


def load_with_draft(stage: Stage) -> None:
    """SAMPLE_MODEL with a draft beside it, and the candidates known."""
    stage.engine.load_outcomes.append(LOADED)
    stage.program.current.load(SAMPLE_MODEL.path)
    stage.engine.step()
    stage.window.top.draft.opening.disconnect()
    stage.program.drafts.show_candidates(SAMPLE_MODEL.path, CANDIDATES)
    stage.window.show_memory(sample_memory(LOADED.need.resident_bytes))


def draft_panel(stage: Stage) -> None:
    load_with_draft(stage)
    open_sample_chat(stage)
    play(stage.engine, [ms * 0.6 for ms in steady_times(160)])
    stage.engine.drafting.emit(FIGURES)


def draft_panel_off(stage: Stage) -> QWidget:
    load_with_draft(stage)
    stage.engine.drafting.emit(DraftFigures(False, 24, 3, 60, 63, 88.0, 86.0))
    return stage.window.panel


def draft_picker(stage: Stage) -> QWidget:
    load_with_draft(stage)
    stage.window.top.draft.open()
    return stage.window.top.draft.popup


def draft_picker_verdict(stage: Stage) -> QWidget:
    load_with_draft(stage)
    remember_ratio(stage.paths.drafts, SAMPLE_MODEL.path, CANDIDATES[1].path, 0.9)
    stage.engine.draft_verdict.emit(DraftVerdict(11.6, 19.3, 0.71, 2.6, 4, 96))
    stage.window.top.draft.open()
    return stage.window.top.draft.popup


def draft_picker_empty(stage: Stage) -> QWidget:
    stage.load()
    stage.window.top.draft.opening.disconnect()
    stage.window.top.draft.open()
    return stage.window.top.draft.popup


def draft_verdict(stage: Stage) -> None:
    load_with_draft(stage)
    open_sample_chat(stage)
    stage.engine.draft_verdict.emit(DraftVerdict(11.6, 19.3, 0.71, 2.6, 4, 96))


def draft_comparing(stage: Stage) -> None:
    load_with_draft(stage)
    open_sample_chat(stage)
    stage.engine.change(stage.engine.state.LOADING)
    stage.engine.progress.emit(Progress(Step.COMPARE_DRAFT, 120, 300))


def draft_too_large(stage: Stage) -> None:
    path = Path("/models/qwen/Qwen2.5-7B-Instruct-Q4_K_M.gguf")
    need = MemoryNeed(4_700_000_000, 600_000_000, 300_000_000, draft_bytes=900_000_000)
    sentence = (
        "Qwen2.5-7B-Instruct-Q4_K_M needs 6.5 GB: 4.7 GB for the weights, 0.6 GB for the conversation (KV cache), "
        "0.3 GB to work in, 0.9 GB for the draft model. 6.1 GB of memory are free."
    )
    stage.engine.load_outcomes.append(TooLarge(path, need, 6_100_000_000, sentence))
    stage.program.current.load(path)
    stage.engine.step()


def draft_guessed(stage: Stage) -> QWidget:
    stage.load()
    view = GuessedView(stage.window)
    words = re.findall(r"\S+\s*", ANSWER * 4)
    pieces = [(word, index % 3 != 0) for index, word in enumerate(words)]
    view.show_pieces(pieces, len(pieces), sum(guessed for _, guessed in pieces))
    view.open_over(stage.window)
    return view


DRAFT_SCENES: tuple[Callable[[Stage], QWidget | None], ...] = (
    draft_panel,
    draft_panel_off,
    draft_picker,
    draft_picker_verdict,
    draft_picker_empty,
    draft_verdict,
    draft_comparing,
    draft_too_large,
    draft_guessed,
)
