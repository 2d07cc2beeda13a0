"""Channels that stand out: found where they were planted, and nowhere else."""

from __future__ import annotations

import numpy as np

from app.inspect.inspection import by_inputs, by_weights
from tests.app.inspect.models import PLANTED, normal, planted


def test_planted_columns_are_found_and_no_other() -> None:
    found = by_weights(planted())
    assert sorted(channel.number for channel in found.outliers) == sorted(PLANTED)
    assert found.found == 2
    assert all(7 < channel.times < 9 for channel in found.outliers)


def test_without_them_none_is_found() -> None:
    found = by_weights(normal(96, 512))
    assert found.found == 0
    assert found.outliers == ()
    assert max(found.bars) < 1.5


def test_inputs_stand_out_where_the_weights_do_not() -> None:
    squares = np.ones(512, np.float32)
    squares[40] = 100.0
    squares[41] = 25.0  # five times the median: below the threshold
    found = by_inputs(squares)
    assert [(channel.number, round(channel.times)) for channel in found.outliers] == [(40, 10)]


def test_experts_count_together() -> None:
    squares = np.ones((4, 64), np.float32)
    squares[:, 7] = 64.0
    assert [channel.number for channel in by_inputs(squares).outliers] == [7]


def test_the_picture_keeps_the_strongest_of_each_stretch() -> None:
    squares = np.ones(4096, np.float32)
    squares[4095] = 400.0
    found = by_inputs(squares)
    assert len(found.bars) == 256
    assert round(found.bars[-1]) == 20
    assert round(max(found.bars[:-1])) == 1


def test_columns_of_zeros_are_no_crash() -> None:
    assert by_weights(np.zeros((8, 64), np.float32)).found == 0
