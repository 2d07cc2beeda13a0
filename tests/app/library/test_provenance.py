"""How a model was made: the words of its steps, and what is understood of manifests that kept words alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.library.library import scan
from app.library.manifest import FileOrigin, Manifest, write_manifest
from app.library.provenance import (
    FfnCut,
    KvGroupCut,
    LayerCut,
    OpaqueStep,
    ProvenanceStep,
    Quantization,
    Recovery,
    Sparsity,
    alteration,
    is_altered,
    rounding_of,
    short_words_of,
    steps_after,
    words_of,
)
from app.settings import Settings
from app.system.paths import Paths
from tests.real_models import STDLIB_3M

NARROWER, RECOVERED = FfnCut(768, (512,)), Recovery("lora", 80_000)

IN_WORDS: tuple[tuple[ProvenanceStep, str, str], ...] = (
    (Sparsity("wanda", 0.4375), "Wanda, 44 % zeros", "Wanda"),
    (Sparsity("sparsegpt", 0.5, "2:4"), "SparseGPT, 2:4 zeros", "SparseGPT"),
    (Sparsity("magnitude", 0.5), "Magnitude, 50 % zeros", "Magnitude"),
    (Sparsity("global-magnitude", 0.3), "Magnitude over the whole model, 30 % zeros", "Magnitude over the whole model"),
    (NARROWER, "FFN 768 to 512, refitted", "FFN 512"),
    (FfnCut(768, (512,), refitted=False), "FFN 768 to 512", "FFN 512"),
    (FfnCut(768, (512,), gate_and_up=True), "FFN 768 to 512, refitted, gate and up too", "FFN 512"),
    (FfnCut(768, (256, 512), refitted=False), "FFN 768 to between 256 and 512 by layer",
     "FFN 768 to between 256 and 512 by layer"),
    (FfnCut(768, (544,)),
     "FFN 768 to 544, refitted (not a multiple of 256: K-quants fall back to older types)", "FFN 544"),
    (KvGroupCut(4, (2,)), "KV groups 4 to 2, refitted", "KV groups 2"),
    (KvGroupCut(4, (3, 1), refitted=False), "KV groups 4 to between 1 and 3 by layer",
     "KV groups 4 to between 1 and 3 by layer"),
    (LayerCut(6, (3, 4)), "2 of 6 layers left out (3, 4, counted from 0)", "2 of 6 layers left out"),
    (RECOVERED, "recovered, LoRA, 80,000 tokens", "recovered"),
    (Recovery("full", 4096, bundled_text=True, hard_loss=0.1, grid="Q4_0"),
     "recovered, all weights, 4,096 tokens, bundled text, 10 % cross-entropy, on the Q4_0 grid", "recovered"),
    (Recovery("qlora", 5000, text_name="mine.txt"), "recovered, QLoRA, 5,000 tokens, text mine.txt", "recovered"),
    (Quantization("Q4_K_M"), "Q4_K_M", ""),
    (Quantization("Q4_K_M", importance=True), "Q4_K_M with an importance matrix", ""),
    (Quantization("Q4_0", importance=True, best=True),
     "Q4_0, outliers folded (AWQ), importance matrix, rounded again (GPTQ)", ""),
    (Quantization("Q4_K_M", overrides=(("ffn_down", "Q6_K"),), output_type="Q8_0", embedding_type="F16"),
     "Q4_K_M; ffn_down=Q6_K, output=Q8_0, embedding=F16", ""),
)  # fmt: skip


@pytest.mark.parametrize(("step", "words", "short"), IN_WORDS)
def test_a_step_in_words(step: ProvenanceStep, words: str, short: str) -> None:
    assert words_of((step,)) == words
    assert short_words_of((step,)) == short


@pytest.mark.parametrize(("step", "words", "short"), IN_WORDS)
def test_words_alone_are_understood_as_their_step(step: ProvenanceStep, words: str, short: str) -> None:
    opaque = OpaqueStep(words, is_altered((step,)))
    assert words_of((opaque,)) == words
    assert short_words_of((opaque,)) == short
    assert is_altered((opaque,)) == is_altered((step,))
    assert rounding_of((opaque,)) == rounding_of((step,))
    if is_altered((step,)):
        assert alteration((opaque,)) == alteration((step,))


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ((), ""),
        ((NARROWER,), "pruned"),
        ((NARROWER, RECOVERED), "pruned and recovered"),
        ((RECOVERED,), "recovered"),
        ((RECOVERED, LayerCut(6, (1, 2))), "pruned and recovered"),
        ((OpaqueStep("FFN 768 to 512; recovered, LoRA, 80,000 tokens"),), "pruned and recovered"),
        ((OpaqueStep("FFN 768 to 512"), RECOVERED), "pruned and recovered"),
    ],
)
def test_what_was_done_to_a_folder_is_told_in_a_word(steps: tuple[ProvenanceStep, ...], word: str) -> None:
    assert alteration(steps) == word


def test_a_model_in_few_letters_and_how_it_was_rounded() -> None:
    steps = (OpaqueStep("FFN 768 to 512, refitted", altered=True), RECOVERED, Quantization("Q4_K_M", importance=True))
    assert short_words_of(steps) == "FFN 512 recovered"
    assert rounding_of(steps) == ("Q4_K_M", "imatrix")
    assert rounding_of((NARROWER, Quantization("Q8_0"))) == ("Q8_0", "")
    assert rounding_of((NARROWER,)) == ("", "")


OLD, OLD_BOTH = OpaqueStep("A", altered=True), OpaqueStep("A; FFN 768 to 512, refitted", altered=True)
OLD_NARROWER = OpaqueStep("FFN 768 to 512, refitted", altered=True)


@pytest.mark.parametrize(
    ("steps", "before", "after"),
    [
        ((NARROWER, RECOVERED), (), (NARROWER, RECOVERED)),
        ((NARROWER, RECOVERED), (NARROWER,), (RECOVERED,)),
        ((NARROWER, RECOVERED), (NARROWER, RECOVERED), ()),
        ((NARROWER,), (RECOVERED,), None),
        ((NARROWER,), (NARROWER, RECOVERED), None),
        ((OLD, RECOVERED), (OLD,), (RECOVERED,)),
        ((OLD_BOTH,), (OLD,), (OLD_NARROWER,)),
        ((OLD_BOTH, RECOVERED), (OLD,), (OLD_NARROWER, RECOVERED)),
        ((OLD_BOTH,), (OLD, NARROWER), ()),
        ((OLD, NARROWER, RECOVERED), (OLD_BOTH,), (RECOVERED,)),
        ((OLD_NARROWER, RECOVERED), (NARROWER,), (RECOVERED,)),
        ((OpaqueStep("A B"),), (OLD,), None),
        ((RECOVERED, OpaqueStep("A B")), (OLD,), None),
    ],
)
def test_what_follows_other_steps_however_they_were_kept(
    steps: tuple[ProvenanceStep, ...],
    before: tuple[ProvenanceStep, ...],
    after: tuple[ProvenanceStep, ...] | None,
) -> None:
    assert steps_after(steps, before) == after


def test_a_folder_that_was_pruned_is_not_called_the_original(tmp_path: Path) -> None:
    source = Path(shutil.copytree(STDLIB_3M, tmp_path / "in" / "stdlib"))
    pruned = Path(shutil.copytree(source, tmp_path / "in" / "stdlib-ffn512"))
    origin = FileOrigin("a" * 64, 1, parent="../stdlib", steps=(NARROWER,))
    write_manifest(pruned, Manifest({file.name: origin for file in pruned.glob("*.safetensors")}))
    found = scan(Paths(tmp_path / "home").ensure(), Settings(model_folders=(str(tmp_path / "in"),)))
    notes = {entry.path: entry.note.split(",")[0] for entry in found if entry.is_folder}
    assert notes == {source: "The original", pruned: "Pruned here"}
    assert [entry.note for entry in found if not entry.is_folder] == [""], "a file can be chatted with as it is"
