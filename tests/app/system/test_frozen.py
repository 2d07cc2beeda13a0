"""How the program starts itself, as sources and as a bundle, and how it says that PyTorch is a package of its own."""

from __future__ import annotations

import importlib.machinery
import os
import sys
from pathlib import Path

import pytest

from app import __version__
from app.errors import AppError
from app.system import frozen


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a program that takes itself for a bundle; it has no PyTorch."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bantam"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(frozen.importlib.util, "find_spec", lambda _name: None)
    return tmp_path


def give_torch(bundle: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (bundle / frozen.TORCH_FOLDER).mkdir()
    (bundle / frozen.TORCH_FOLDER / frozen.TORCH_STAMP).write_text(version + "\n")
    found = importlib.machinery.ModuleSpec("torch", None)
    monkeypatch.setattr(frozen.importlib.util, "find_spec", lambda _name: found)


def test_sources_are_started_with_python_and_its_options() -> None:
    assert frozen.program("-u") == [sys.executable, "-u", "-m", "app"]


def test_a_bundle_starts_itself(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert frozen.program("-u") == [str(bundle / "bantam")]


def test_on_windows_the_child_is_the_console_program(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert Path(*frozen.program()) == bundle.resolve() / "bantam-console.exe"


def test_other_programs_get_their_own_libraries_back(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(bundle))
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/usr/games/lib")
    monkeypatch.setenv("_PYI_PARENT_PROCESS_LEVEL", "1")
    frozen.prepare()
    assert "_PYI_PARENT_PROCESS_LEVEL" not in os.environ, "a child would not look for its libraries"
    assert os.environ["LD_LIBRARY_PATH"] == "/usr/games/lib"
    assert "LD_LIBRARY_PATH_ORIG" not in os.environ
    frozen.prepare()
    assert "LD_LIBRARY_PATH" not in os.environ


def test_sources_leave_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/cuda")
    frozen.prepare()
    assert os.environ["LD_LIBRARY_PATH"] == "/opt/cuda"


def test_torch_is_found_last_and_only_where_it_is_installed(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen.prepare()
    assert str(bundle / frozen.TORCH_FOLDER) not in sys.path
    give_torch(bundle, __version__, monkeypatch)
    frozen.prepare()
    assert sys.path[-1] == str(bundle / frozen.TORCH_FOLDER)
    frozen.require_torch()


def test_without_torch_the_user_is_told_which_package_to_install(bundle: Path) -> None:
    with pytest.raises(AppError) as failure:
        frozen.require_torch()
    assert "not installed" in failure.value.sentence
    assert f"bantam-torch {__version__}" in failure.value.hint


def test_a_torch_of_another_version_is_not_used_silently(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_torch(bundle, "0.0.9", monkeypatch)
    with pytest.raises(AppError) as failure:
        frozen.require_torch()
    assert "0.0.9" in failure.value.sentence
