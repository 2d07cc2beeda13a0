"""A Python is chosen that can run Bantam; what is wrong with the others is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bootstrap.console import SetupError
from bootstrap.interpreter import Interpreter, choose, probe


def python(minor: int, complete: bool = True, bits64: bool = True) -> Interpreter:
    return Interpreter(f"/usr/bin/python3.{minor}", (3, minor, 2), complete, bits64)


def test_the_first_suitable_one_is_taken() -> None:
    assert choose([None, python(9), python(14), python(12), python(11)], "debian") == python(12)


def test_one_without_venv_is_passed_over() -> None:
    assert choose([python(12, complete=False), python(11)], "debian") == python(11)


def test_only_one_without_venv_names_its_package() -> None:
    with pytest.raises(SetupError, match=r"Python 3\.12\.2 .* lacks modules") as raised:
        choose([python(12, complete=False), python(9)], "debian")
    assert "apt-get install -y python3.12-venv" in raised.value.hint


@pytest.mark.parametrize("unsuitable", [python(10), python(14), python(12, bits64=False)])
def test_none_says_which_versions_are_needed(unsuitable: Interpreter) -> None:
    with pytest.raises(SetupError, match=r"Bantam needs Python 3\.11 to 3\.13"):
        choose([unsuitable], "debian")


def test_a_true_python_is_probed() -> None:
    found = probe(sys.executable)
    assert found is not None
    assert found.version == sys.version_info[:3]
    assert found.suitable
    assert found.complete


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script is a shim on POSIX only")
def test_a_shim_without_a_version_behind_it_is_no_python(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert probe(str(shim)) is None
    assert probe(str(tmp_path / "absent")) is None
