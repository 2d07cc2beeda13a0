"""Versions, instruction sets and licences of what is installed, without importing it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app import __version__
from app.diagnostics import about

ROOT = Path(__file__).parents[3]


def test_the_version_names_the_parts_and_imports_none_of_them() -> None:
    code = (
        "import sys; from app.__main__ import main; sys.argv = ['bantam', '--version']\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "print(sorted({'torch', 'transformers', 'llama_cpp', 'PySide6', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    first, second, imported = done.stdout.splitlines()
    assert first == f"Bantam {__version__}"
    assert all(word in second for word in ("Python 3.", "Qt 6.", "llama.cpp", "PyTorch 2.", "transformers "))
    assert imported == "[]"


def test_a_part_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "_PACKAGES", (("Nothing", ("no-such-package-anywhere",)),))
    assert about.components()[-1] == about.Component("Nothing", about.NOT_INSTALLED)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (("avx", "avx2", "f16c", "fma"), "AVX, AVX2, FMA, F16C (16-bit floats)"),
        (("avx",), "AVX. Without AVX2 answers take longer."),
        (("asimd", "asimddp"), "NEON, NEON dot products"),
        ((), "The system does not say which instruction sets the processor has."),
    ],
)
def test_the_processor_in_words(monkeypatch: pytest.MonkeyPatch, sets: tuple[str, ...], words: str) -> None:
    monkeypatch.setattr(about, "instruction_sets", lambda: sets)
    assert about.cpu_sentence() == words


def test_the_licences_of_all_that_bantam_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "_required", lambda one: ("httpx2",) if one.metadata["Name"] == "bantam" else ())
    text = about.licences_text()
    assert "Third-party notices" in text
    assert "BSD-3-Clause" in text.partition("httpx2 2.")[2][:40]
    assert "Redistribution and use in source and binary forms" in text


def test_what_is_needed_is_followed_and_extras_are_not() -> None:
    names = {one.metadata["Name"].lower() for one in about._installed()}
    assert {"torch", "markupsafe", "h11"} <= names
    assert not {"pytest", "ruff", "bantam"} & names


def test_a_bundle_shows_the_list_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert about.bundled_list() is None
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bantam"))
    assert about.bundled_list() is None
    (tmp_path / about.BUNDLED_NAME).write_text("All of it")
    assert about.licences_text() == "All of it"
