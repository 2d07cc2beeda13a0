from pathlib import Path

import pytest

from app.library.gguf_file import MAX_NAME, model_name
from app.system.paths import STARTER_MODEL


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Qwen3-1.7B-Q4_K_M.gguf", "Qwen3-1.7B-Q4_K_M"),
        ("big-00001-of-00003.gguf", "big"),
        ("line\nbreak.gguf", "line break"),
    ],
)
def test_a_model_is_called_what_its_file_is(file, name):
    assert model_name(Path("/models") / file, "Model") == name


def test_a_long_name_is_cut():
    assert len(model_name(Path("x" * 200 + ".gguf"), "")) == MAX_NAME


def test_the_starter_has_a_name_of_its_own():
    assert model_name(STARTER_MODEL, "Starter") == "Starter"
    assert model_name(STARTER_MODEL, "") == STARTER_MODEL.stem
