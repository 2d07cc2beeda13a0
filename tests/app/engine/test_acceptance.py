import pytest

from app.engine.acceptance import LONGEST_DRAFT, Acceptance, Rate


def test_a_rate_begins_at_its_prior_and_ends_at_what_was_seen():
    rate = Rate(0.9, 3.0)
    assert rate.value == pytest.approx(0.9)
    for number in range(400):
        rate.observe(number % 4 == 0)
    assert rate.value == pytest.approx(0.25, abs=0.08)


def test_a_rate_forgets():
    rate = Rate(0.5, 1.0)
    for hit in [True] * 300 + [False] * 150:
        rate.observe(hit)
    assert rate.value < 0.1


def test_only_tokens_whose_predecessors_were_right_count():
    acceptance = Acceptance()
    before = acceptance.at_position(3)
    for _ in range(50):
        acceptance.observe((0.9, 0.9, 0.9, 0.9), accepted=1)
    assert acceptance.at_position(0) > 0.9
    assert acceptance.at_position(1) < 0.1
    assert acceptance.at_position(3) == before


def test_confidence_is_learned_by_how_sure_the_draft_was():
    acceptance = Acceptance()
    for _ in range(100):
        acceptance.observe((0.95, 0.35), accepted=1)
    assert acceptance.of_confidence(0.97) > 0.95
    assert acceptance.of_confidence(0.31) < 0.1
    assert acceptance.of_confidence(0.65) == pytest.approx(0.65)


def test_any_position_and_probability_has_an_estimate():
    acceptance = Acceptance()
    assert 0 < acceptance.at_position(LONGEST_DRAFT + 5) < 1
    assert 0 < acceptance.of_confidence(0.0) < acceptance.of_confidence(1.0) < 1
