"""Numbers as people read them."""

from __future__ import annotations

import pytest

from app.units import percent


@pytest.mark.parametrize(
    ("share", "decimals", "text"), [(0.414, 0, "41 %"), (0.0, 0, "0 %"), (1.0, 2, "100.00 %"), (0.0312, 1, "3.1 %")]
)
def test_a_share_is_percent_after_a_space(share: float, decimals: int, text: str) -> None:
    assert percent(share, decimals) == text
