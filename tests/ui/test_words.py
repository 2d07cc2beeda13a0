"""Numbers in the user's words."""

from __future__ import annotations

import pytest

from ui.words import milliseconds, size


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0.0 GB"),
        (20, "20 bytes"),
        (12_000, "12.0 kB"),
        (51_400_000, "51 MB"),
        (99_400_000, "99 MB"),
        (140_000_000, "0.1 GB"),
        (7_600_000_000, "7.6 GB"),
    ],
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(
    ("ms", "words"), [(2.04, "2.0 ms"), (86.4, "86 ms"), (1234.0, "1,234 ms"), (12_400.0, "12.4 s")]
)
def test_times(ms: float, words: str) -> None:
    assert milliseconds(ms) == words
