from __future__ import annotations

import pytest

from app.hub.repository import gguf_name, is_safe_path, repository_id
from tests.hub_server.faults import HOSTILE


@pytest.mark.parametrize("path", ["model.gguf", "Q4/model-00001-of-00002.gguf", "a b.gguf", "модель.gguf", ".hidden"])
def test_usual_names_are_safe(path: str) -> None:
    assert is_safe_path(path)


@pytest.mark.parametrize(
    "path", [*HOSTILE, "", "/", "a//b", "a/./b", "line\nbreak", "x\u202egguf.exe", "com1", "a/aux.txt"]
)
def test_hostile_names_are_not(path: str) -> None:
    assert not is_safe_path(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Qwen/Qwen3-4B-GGUF", "Qwen/Qwen3-4B-GGUF"),
        (" https://huggingface.co/Qwen/Qwen3-4B-GGUF/tree/main ", "Qwen/Qwen3-4B-GGUF"),
        ("https://hf-mirror.example/a/b?x=1", "a/b"),
        ("qwen 4b", None),
        ("qwen", None),
        ("../etc", None),
        ("a/b/c", None),
    ],
)
def test_what_names_a_repository(text: str, found: str | None) -> None:
    assert repository_id(text) == found


@pytest.mark.parametrize(
    ("path", "label", "family"),
    [
        ("Qwen3-4B-Q4_K_M.gguf", "Q4_K_M", "qwen3-4b"),
        ("BF16/Qwen3-32B-BF16-00001-of-00002.gguf", "BF16", "qwen3-32b"),
        ("Qwen3-4B-UD-IQ2_XXS.gguf", "UD-IQ2_XXS", "qwen3-4b"),
        ("gemma-3-4b-it.Q8_0.gguf", "Q8_0", "gemma-3-4b-it"),
        ("model-q4_0.gguf", "Q4_0", "model"),
        ("Phi-3-mini-4k-instruct-fp16.gguf", "FP16", "phi-3-mini-4k-instruct"),
        ("plain.gguf", "plain", "plain"),
    ],
)
def test_what_a_name_says(path: str, label: str, family: str) -> None:
    name = gguf_name(path)
    assert (name.label, name.family) == (label, family)
