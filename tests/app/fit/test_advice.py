"""Which file of several is advised."""

from __future__ import annotations

import pytest

from app.engine.messages import MemoryNeed
from app.fit.judgement import main_type
from app.fit.verdict import Choice, FitVerdict, Verdict, best


def choice(label: str, gigabytes: float, ms: float, verdict: Verdict = Verdict.FITS) -> Choice:
    size = int(gigabytes * 1e9)
    return Choice(label, label, size, FitVerdict(verdict, MemoryNeed(size, 0, 0), 4096, 4096, 4096), ms)


@pytest.mark.parametrize(
    ("offered", "label"),
    [
        ([choice("IQ2_M", 3.0, 97), choice("Q4_K_M", 5.0, 150)], "Q4_K_M"),
        ([choice("Q2_K", 3.0, 97), choice("Q3_K_M", 4.0, 130)], "Q3_K_M"),
        ([choice("Q3_K_M", 4.0, 130), choice("BF16", 16.0, 190)], "BF16"),
        ([choice("Q8_0", 8.0, 150), choice("BF16", 16.0, 190)], "Q8_0"),
        ([choice("BF16", 16.0, 150), choice("F32", 32.0, 190)], "BF16"),
        ([choice("Q4_K_M", 5.0, 150), choice("Q8_0", 8.0, 250)], "Q4_K_M"),
        ([choice("Q4_K_M", 5.0, 350), choice("Q8_0", 8.0, 450)], "Q4_K_M"),
    ],
)
def test_the_most_bits_that_keep_the_target(offered: list[Choice], label: str) -> None:
    chosen = best(offered, 200)
    assert chosen is not None
    assert chosen.label == label


@pytest.mark.parametrize(
    ("label", "kind"), [("IQ2_M", "IQ2_S"), ("UD-IQ2_M", "IQ2_S"), ("IQ3_M", "Q3_K"), ("Q4_K_M", "Q4_K")]
)
def test_a_mixture_has_the_bits_of_its_main_type(label: str, kind: str) -> None:
    assert main_type(label) == kind
