"""The ledger with sample figures: the models page as a tree, and the workshop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QWidget

from app.library.library import ModelEntry, ModelSource
from app.library.manifest import FileOrigin
from app.library.provenance import Quantization
from app.library.safetensors import FolderFacts
from app.measure.ledger import Conditions, Figures, Measurement, SpeedFigures
from app.measure.messages import Estimate
from tests.ui.fake_engine import SAMPLE_MODEL
from tests.ui.scenes import GB, Stage, sample_entries
from ui.navigation import Page
from ui.workshop.page import COMPARE

FOLDER = Path("/models/qwen/Qwen3-1.7B")
STANDARD = Conditions("bundled 1a2b3c4d", 512, 4080)
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
# type, recipe, GB on disk, GB of memory, ms a token, ms to the first, KL, top-1, perplexity
_VARIANTS = (
    (Quantization("BF16"), 3.45, 4.2, 262.0, 5310.0, 0.00002, 0.9991, 14.21),
    (Quantization("Q8_0"), 1.83, 2.5, 139.0, 2950.0, 0.0014, 0.9842, 14.22),
    (Quantization("Q4_K_M"), 1.107, 1.8, 86.4, 1240.0, 0.0467, 0.9121, 14.93),
    (Quantization("Q4_K_M", importance=True), 1.107, 1.8, 86.1, 1236.0, 0.0312, 0.9264, 14.70),
    (Quantization("Q4_K_M", best=True), 1.107, 1.8, 86.9, 1248.0, 0.0171, 0.9455, 14.48),
    (Quantization("Q4_0"), 1.06, 1.75, 78.2, 1010.0, 0.0893, 0.8803, 15.61),
)  # fmt: skip


def source() -> ModelEntry:
    """The folder that the variants were made of."""
    facts = FolderFacts("Qwen3ForCausalLM", 1_720_000_000, "BF16", 40960, 28, 151_936, "", 6144, 8)
    return ModelEntry(
        FOLDER, "Qwen3-1.7B", int(3.44 * GB), None, "", ModelSource.MODELS_FOLDER, is_folder=True, facts=facts
    )


def variants() -> tuple[ModelEntry, ...]:
    """Made of it, the last one not measured."""
    known = next(entry for entry in sample_entries() if entry.path == SAMPLE_MODEL.path)
    assert known.header is not None
    found = []
    for step, size_gb, *_ in (*_VARIANTS, (Quantization("Q2_K"), 0.78)):
        kind, ending = step.type, "-best" if step.best else "-imatrix" if step.importance else ""
        size = int(size_gb * GB)
        header = dataclasses.replace(known.header, quantization=kind, file_bytes=size, tensor_bytes=size)
        origin = FileOrigin(SHA256, size, date="2026-11-24T10:00:00", parent=".", steps=(step,))
        path = FOLDER / f"Qwen3-1.7B-{kind}{ending}.gguf"
        found.append(
            ModelEntry(path, "Qwen3 1.7B", size, header, "", ModelSource.MODELS_FOLDER, (path,), origin=origin)
        )
    return tuple(found)


def figures() -> dict[Path, Figures]:
    """Of all but the last."""
    found = {}
    for entry, (*_, memory, ms, first, kl, top, perplexity) in zip(variants(), _VARIANTS, strict=False):
        quality = Measurement(
            STANDARD, "2026-11-24T10:30:00+00:00", Estimate(perplexity, 0.35), FOLDER, Estimate(14.20, 0.34),
            Estimate(kl, kl / 20), kl * 11, Estimate(top, 0.004),
        )  # fmt: skip
        speed = SpeedFigures(ms, first, int(memory * GB), 4096, 256, "2026-11-24T10:31:00+00:00")
        found[entry.path] = Figures((quality,), speed)
    return found


def fill(stage: Stage) -> None:
    """The rows of a person who has made some variants."""
    others = tuple(entry for entry in sample_entries() if entry.path != SAMPLE_MODEL.path)
    stage.program.models.set_entries((source(), *variants(), *others))
    stage.program.models.set_figures(figures())


def models_tree(stage: Stage) -> None:
    fill(stage)
    stage.window.show_page(Page.MODELS)
    stage.program.models_page.select(variants()[4].path)


def models_tree_source(stage: Stage) -> None:
    fill(stage)
    stage.program.state.update(show_performance_panel=False)
    stage.window.show_page(Page.MODELS)
    stage.program.models_page.select(FOLDER)


def workshop(stage: Stage) -> None:
    fill(stage)
    stage.window.show_page(Page.WORKSHOP)
    stage.program.workshop_page.show_result(variants()[4].path)


def workshop_wide(stage: Stage) -> None:
    workshop(stage)
    stage.program.state.update(show_performance_panel=False)
    stage.program.workshop_page.compare.across.setCurrentIndex(1)


def workshop_unmeasured(stage: Stage) -> None:
    fill(stage)
    stage.program.models.set_figures({})
    stage.window.show_page(Page.WORKSHOP)
    stage.program.workshop_page.show_view(COMPARE)


def workshop_empty(stage: Stage) -> None:
    stage.window.show_page(Page.WORKSHOP)
    stage.program.workshop_page.show_view(COMPARE)


LEDGER_SCENES: tuple[Callable[[Stage], QWidget | None], ...] = (
    models_tree, models_tree_source, workshop, workshop_wide, workshop_unmeasured, workshop_empty,
)  # fmt: skip
