"""Reasoning told from the answer, in the formats of the models that people download."""

import pytest

from app.engine.messages import Message, Role
from app.engine.reasoning import MARKS, Parts, answer_message, split_reasoning

HARMONY = "<|channel|>analysis<|message|>Add them.<|end|><|start|>assistant<|channel|>final<|message|>Four."


@pytest.mark.parametrize(("opening", "closing"), MARKS)
def test_each_familys_marks(opening, closing):
    assert split_reasoning(f"{opening}\nAdd.\n{closing}\n\nFour.") == Parts("Add.", "Four.")
    assert split_reasoning(f"{opening}\nAdd") == Parts("Add", "", ended=False)
    assert split_reasoning(f"Add.\n{closing}\n\nFour.") == Parts("Add.", "Four."), "the template wrote the opening mark"
    assert split_reasoning(f"Write `{closing}` at the end.").reasoning == "", "in code it is text"


def test_marks_around_an_answer_go():
    text = "<|START_THINKING|>Add.<|END_THINKING|><|START_RESPONSE|>Four.<|END_RESPONSE|>"
    assert split_reasoning(text) == Parts("Add.", "Four.")


def test_channels():
    assert split_reasoning(HARMONY) == Parts("Add them.", "Four.")
    assert split_reasoning(HARMONY + "<|return|>") == Parts("Add them.", "Four.")
    assert split_reasoning(HARMONY.partition("<|end|>")[0]) == Parts("Add them.", "", ended=False)
    called = "<|channel|>commentary to=functions.add <|constrain|>json<|message|>{}<|call|>"
    assert split_reasoning(called + HARMONY) == Parts("{}\nAdd them.", "Four.")


def test_a_text_about_channels_is_an_answer():
    assert split_reasoning("The mark <|channel|> names one.") == Parts("", "The mark <|channel|> names one.")


def test_an_answer_goes_back_without_its_reasoning():
    assert answer_message(HARMONY) == Message(Role.ASSISTANT, "Four.", "Add them.")
