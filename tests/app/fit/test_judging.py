from __future__ import annotations

from pathlib import Path

from app.engine.curve import FitCurve, FitPoint
from app.engine.messages import KvType
from app.fit.judgement import Judgement, ReadProfile, TypeBytes, derived, made_key, relatives, to_be_read
from app.hub.repository import ModelFormat, RemoteFile, RemoteModel, Repository, RepositorySummary
from app.quantize.messages import ConversionPlanned, PlannedFile


def remote(label: str, size: int, family: str = "m") -> RemoteModel:
    return RemoteModel(ModelFormat.GGUF, label, (RemoteFile(f"{family}-{label}.gguf", size),), family)


def test_one_header_speaks_for_the_other_quantizations() -> None:
    own, other, stranger = remote("Q4_0", 1000), remote("Q8_0", 1900), remote("Q4_0", 50, "draft")
    repository = Repository(RepositorySummary("a/b"), "c" * 40, (stranger, own, other))
    assert to_be_read(repository) == (stranger, own)
    assert relatives(own, repository.models) == (other,)
    curve = FitCurve(900, 4096, (FitPoint(1024, KvType.F16, 10, 20),))
    judged = Judgement(own.key, curve, ReadProfile((TypeBytes("Q4_0", 800),), 4))
    found = derived(judged, own, other)
    assert found.curve is not None
    assert found.reads is not None
    assert (found.curve.weights_bytes, found.curve.points, found.derived_from) == (1800, curve.points, "Q4_0")
    assert found.reads.types == (TypeBytes("Q8_0", 1600),)


def test_what_would_be_made_has_a_key_and_a_size_of_its_own() -> None:
    curve, reads = FitCurve(900, 4096, ()), ReadProfile((), 4)
    files = (PlannedFile("Q4_K_M", 300, curve, reads), PlannedFile("Q8_0", 500, curve, reads))
    four, eight = ConversionPlanned(Path(), files, 1000).judgements("config.json")
    assert (four.key, eight.key) == (made_key("config.json", "Q4_K_M"), made_key("config.json", "Q8_0"))
    assert four.made is not None
    assert (four.made.size_bytes, four.made.working_bytes, four.made.refused) == (300, 1300, False)
