"""What an argument means: a model to open in the window, or a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.__main__ import model_file

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["model.gguf", "Größe und Gewicht.GGUF"])
def test_a_model_file_is_opened(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_file([name]) == tmp_path / name


def test_an_address_of_a_file_is_that_file() -> None:
    assert model_file(["file:///home/J%C3%BCrgen/my%20model.gguf"]) == Path("/home/Jürgen/my model.gguf")


@pytest.mark.parametrize("arguments", [[], ["models"], ["--version"], ["chat", "model.gguf"], ["bench", "x.gguf"]])
def test_other_arguments_are_not_a_model_to_open(arguments: list[str]) -> None:
    assert model_file(arguments) is None


def test_a_library_that_the_system_lacks_is_named_in_a_sentence() -> None:
    code = """
import sys
class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name == "ui.main":
            raise ImportError("libEGL.so.1: cannot open shared object file: No such file or directory")
sys.meta_path.insert(0, Refuses())
sys.argv = ["bantam"]
from app.__main__ import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("The window needs the library libEGL.so.1")
    assert "Traceback" not in done.stderr
