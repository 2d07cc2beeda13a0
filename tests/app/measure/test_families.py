"""Sources and variants: who stands under whom, what is compared with what, and the table as CSV."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest

from app.errors import StorageError
from app.library.gguf_file import GgufHeader
from app.library.library import ModelEntry, ModelSource
from app.library.manifest import FileOrigin
from app.library.provenance import (
    FfnCut,
    LayerCut,
    OpaqueStep,
    ProvenanceStep,
    Quantization,
    Recovery,
    Sparsity,
)
from app.library.safetensors import FolderFacts
from app.measure.families import CSV_TITLES, families, reference_for, write_csv
from app.measure.ledger import Conditions, Figures, Measurement, SpeedFigures
from app.measure.messages import Estimate

FOLDER = Path("/models/me/source")
STANDARD = Conditions("bundled 1", 512, 4080)
OTHER = Conditions("mine 2", 512, 4080)


def gguf(name: str, quantization: str, parent: str = "", *steps: ProvenanceStep) -> ModelEntry:
    header = GgufHeader(
        architecture="llama", name="Source", parameters=10**9, quantization=quantization, context_tokens=2048, layers=2,
        embedding=64, heads=2, kv_heads=2, vocabulary=100, has_chat_template=True, file_bytes=10**9,
        tensor_bytes=10**9, license="mit",
    )  # fmt: skip
    origin = FileOrigin("a" * 64, 10**9, parent=parent, steps=steps) if parent else None
    return ModelEntry(FOLDER / name, "Source", 10**9, header, "", ModelSource.MODELS_FOLDER, origin=origin)


FOLDER_ENTRY = ModelEntry(
    FOLDER, "source", 2 * 10**9, None, "", ModelSource.MODELS_FOLDER, is_folder=True, facts=FolderFacts(type="BF16")
)
FULL = gguf("full.gguf", "BF16", ".", Quantization("BF16"))
Q4 = gguf("q4.gguf", "Q4_K_M", ".", Quantization("Q4_K_M", importance=True))
Q8 = gguf("q8.gguf", "Q8_0", "full.gguf", Quantization("Q8_0"))
ALONE = gguf("alone.gguf", "Q4_0")


def measured(*conditions: Conditions, reference: Path | None = FOLDER, kl: float = 0.02) -> Figures:
    compared = (Estimate(kl, 0.001), kl * 9, Estimate(0.97, 0.01)) if reference else (None, None, None)
    return Figures(
        tuple(
            Measurement(one, f"2026-01-0{at + 1}", Estimate(12.0, 0.1), reference, None, *compared)
            for at, one in enumerate(conditions)
        ),
        SpeedFigures(84.5, 1240.0, 10**9, 4096, 256, "2026-01-01"),
    )


def test_variants_stand_under_the_farthest_source_that_is_there() -> None:
    one, alone = families((FOLDER_ENTRY, FULL, Q4, Q8, ALONE), {})
    assert [row.entry for row in one.rows] == [FOLDER_ENTRY, FULL, Q4, Q8]
    assert alone.rows == (alone.source,)
    assert alone.source.entry == ALONE


def test_without_its_source_a_variant_stands_alone() -> None:
    found = families((FULL, Q4, Q8), {})
    assert [[row.entry for row in one.rows] for one in found] == [[FULL, Q8], [Q4]]


def test_a_ring_of_parents_ends() -> None:
    a, b = (
        gguf("a.gguf", "Q8_0", "b.gguf", Quantization("Q8_0")),
        gguf("b.gguf", "Q8_0", "a.gguf", Quantization("Q8_0")),
    )
    assert sorted(row.entry.path.name for one in families((a, b), {}) for row in one.rows) == ["a.gguf", "b.gguf"]


def test_reference_is_the_16_bit_file_where_there_is_one() -> None:
    assert reference_for(Q4.path, families((FOLDER_ENTRY, FULL, Q4), {})) == FULL.path
    assert reference_for(Q4.path, families((FOLDER_ENTRY, Q4), {})) == FOLDER
    assert reference_for(FULL.path, families((FOLDER_ENTRY, FULL, Q4), {})) == FOLDER
    assert reference_for(Q4.path, families((Q4,), {})) is None
    assert reference_for(FOLDER, families((FOLDER_ENTRY, Q4), {})) is None


def test_a_source_that_cannot_be_read_is_no_reference() -> None:
    packed = dataclasses.replace(FOLDER_ENTRY, facts=FolderFacts(prequantized="gptq"))
    assert reference_for(Q4.path, families((packed, Q4), {})) is None
    broken = dataclasses.replace(FULL, problem="It is cut off.", origin=None)
    assert reference_for(Q8.path, families((broken, Q8), {})) is None


def test_only_figures_of_the_same_conditions_stand_in_one_column() -> None:
    figures = {Q4.path: measured(STANDARD, OTHER), Q8.path: measured(STANDARD), FULL.path: measured(OTHER)}
    one = families((FOLDER_ENTRY, FULL, Q4, Q8), {**figures, FOLDER: measured(STANDARD)})[0]
    shown = {row.entry.path.name: row.quality.conditions if row.quality else None for row in one.rows}
    assert shown == {"source": STANDARD, "full.gguf": None, "q4.gguf": STANDARD, "q8.gguf": STANDARD}
    full = next(row for row in one.rows if row.entry == FULL)
    assert [other.conditions for other in full.other_qualities] == [OTHER]
    assert full.speed is not None


def test_a_divergence_from_something_else_is_not_one_from_the_source() -> None:
    figures = {Q4.path: measured(STANDARD, reference=Path("/elsewhere.gguf")), Q8.path: measured(STANDARD)}
    rows = {row.entry.path: row for row in families((FOLDER_ENTRY, Q4, FULL, Q8), figures)[0].rows}
    assert (rows[Q4.path].kl, rows[Q4.path].top_1) == (None, None)
    assert rows[Q4.path].perplexity == 12.0
    assert rows[Q8.path].kl == 0.02


def test_a_model_without_a_family_shows_what_it_was_compared_with() -> None:
    figures = {ALONE.path: measured(STANDARD, reference=Path("/elsewhere.gguf"))}
    assert families((ALONE,), figures)[0].source.kl == 0.02


@pytest.mark.parametrize(
    ("step", "short"),
    [
        (Quantization("Q4_K_M"), "Q4_K_M"),
        (Quantization("Q4_K_M", importance=True), "Q4_K_M imatrix"),
        (Quantization("Q4_K_M", importance=True, best=True), "Q4_K_M best"),
        (OpaqueStep("Q4_K_M"), "Q4_K_M"),
        (OpaqueStep("Q4_K_M with an importance matrix"), "Q4_K_M imatrix"),
        (OpaqueStep("Q4_K_M, outliers folded (AWQ), importance matrix, rounded again (GPTQ)"), "Q4_K_M best"),
    ],
)
def test_short_recipe(step: ProvenanceStep, short: str) -> None:
    entry = gguf("x.gguf", "Q4_K_M", ".", step)
    assert families((entry,), {})[0].source.short_recipe == short


def test_csv_has_a_line_a_model_and_nothing_where_nothing_was_measured(tmp_path: Path) -> None:
    rows = families((FOLDER_ENTRY, Q4, Q8), {Q4.path: measured(STANDARD)})
    file = tmp_path / "ledger.csv"
    write_csv(file, (row for one in rows for row in one.rows))
    with file.open(newline="") as text:
        source, q4, q8 = csv.DictReader(text)
    assert tuple(source) == CSV_TITLES
    assert (q4["parent"], q4["KL divergence"], q4["ms per token"], q4["sha256"]) == ("source", "0.02", "84.5", "a" * 64)
    assert (q8["KL divergence"], q8["perplexity"], q8["memory bytes"]) == ("", "", "")
    assert source["parent"] == ""


def test_a_name_is_no_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    hostile = dataclasses.replace(ALONE, name='=HYPERLINK("http://x")')
    file = tmp_path / "ledger.csv"
    write_csv(file, families((hostile,), {})[0].rows)
    assert "'=HYPERLINK" in file.read_text()


def test_csv_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not be written"):
        write_csv(tmp_path / "none" / "ledger.csv", ())


@pytest.mark.parametrize(
    ("steps", "short"),
    [
        ((FfnCut(1536, (1024,)), Recovery("lora", 80_000), Quantization("Q4_K_M", importance=True)),
         "FFN 1024 recovered Q4_K_M imatrix"),
        ((LayerCut(8, (5, 6)), Quantization("Q4_K_M", output_type="Q8_0")), "2 of 8 layers left out Q4_K_M"),
        ((Sparsity("wanda", 0.5), Quantization("Q4_K_M", best=True)), "Wanda Q4_K_M best"),
        ((OpaqueStep("FFN 1,536 to 1,024, refitted; recovered, LoRA, 80,000 tokens; Q4_K_M with an importance matrix",
                     altered=True),), "FFN 1024 recovered Q4_K_M imatrix"),
        ((OpaqueStep("6 of 8 layers; Q4_K_M; output=Q8_0", altered=True),), "6 of 8 layers Q4_K_M"),
        ((OpaqueStep("Wanda, 50 % zeros", altered=True), Quantization("Q4_K_M", best=True)), "Wanda Q4_K_M best"),
    ],
)  # fmt: skip
def test_a_point_of_the_plot_says_in_short_what_was_pruned(steps: tuple[ProvenanceStep, ...], short: str) -> None:
    entry = gguf("q4.gguf", "Q4_K_M", "../source", *steps)
    (row,) = families((entry,), {})[0].rows
    assert row.short_recipe == short


def test_a_pruned_16_bit_file_is_no_reference() -> None:
    altered = gguf("full.gguf", "BF16", ".", FfnCut(768, (512,)), Quantization("BF16"))
    assert reference_for(Q4.path, families((FOLDER_ENTRY, FULL, Q4), {})) == FULL.path
    assert reference_for(Q4.path, families((FOLDER_ENTRY, altered, Q4), {})) == FOLDER
