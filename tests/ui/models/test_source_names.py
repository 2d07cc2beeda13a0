"""Models in a list to choose from: originals first, cut ones named as such, two of one name told apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from app.library.library import ModelEntry
from app.library.manifest import FileOrigin
from app.library.provenance import FfnCut, ProvenanceStep, Recovery
from tests.ui.scenes_ledger import source
from ui.models.ledger_model import originals_first, source_names

CUT = FfnCut(768, (512,))


def at(path: str, *steps: ProvenanceStep) -> ModelEntry:
    origin = FileOrigin("a" * 64, 1, parent="../whole", steps=steps) if steps else None
    return dataclasses.replace(source(), path=Path(path), name=Path(path).name, origin=origin)


def test_what_was_cut_comes_after_the_originals() -> None:
    cut, whole = at("/m/a-ffn512", CUT), at("/m/b")
    assert originals_first([cut, whole]) == (whole, cut)


def test_a_cut_one_says_so() -> None:
    names = source_names([at("/m/a"), at("/m/a-ffn512", CUT, Recovery("lora", 80_000))])
    assert names == ("a", "a-ffn512, pruned and recovered")


def test_two_of_one_name_are_told_apart_by_where_they_lie() -> None:
    entries = [at("/m/me/a"), at("/m/you/a"), at("/n/you/a"), at("/m/you/b")]
    assert source_names(entries) == ("me/a", "m/you/a", "n/you/a", "b")


def test_what_cannot_be_told_apart_does_no_harm() -> None:
    assert source_names([at("/a"), at("/a")]) == ("/a", "/a")
    assert source_names([]) == ()
