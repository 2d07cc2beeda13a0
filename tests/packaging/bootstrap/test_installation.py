"""The steps: what is there is skipped, what is missing is installed in the right order, from the right place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from bootstrap import installation as steps
from bootstrap.console import SetupError
from bootstrap.environment import Environment
from bootstrap.installation import Installation, check_room, pip_environment, read_pins

PINS = read_pins(steps.PINS.read_text("utf-8"))
REPORTS = Path(__file__).parent


class Recorded(Environment):
    """An environment that knows what it has, and whose pip only notes what it was asked."""

    def __init__(self, folder: Path, has: dict[str, str]) -> None:
        super().__init__(folder)
        self.folder.mkdir()
        self.has = has
        self.commands: list[list[str]] = []

    def is_usable(self) -> bool:
        return True

    def installed(self) -> dict[str, str]:
        return self.has


def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has: dict[str, str], report: str = "torch-cpu", kept: bool = False
) -> list[str]:
    """Run the steps with pip replaced; the arguments of each `pip install`, as one text a step."""
    environment = Recorded(tmp_path / ".venv", has)
    commands: list[str] = []

    def note(command: list[str], variables: Mapping[str, str], log: Path) -> None:
        commands.append(" ".join(command[3:]))

    def answer(self: Installation, wanted: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((REPORTS / f"{report}.json").read_text("utf-8"))
        return loaded

    monkeypatch.setattr(steps, "run_pip", note)
    monkeypatch.setattr(Installation, "_ask_pip", answer)
    monkeypatch.setattr(steps, "check_room", lambda folder: None)
    monkeypatch.setattr(Installation, "_is_in_cache", lambda self, wheel, wanted: kept)
    Installation(environment, {"test"}).run()
    return commands


def test_from_nothing_torch_comes_before_all_that_could_bring_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.system_packages, "has_compiler", lambda: True)
    tools, torch, llama, project = install(tmp_path, monkeypatch, {"pip": "23.2.1"})
    assert f"pip=={PINS['pip']} setuptools=={PINS['setuptools']}" in tools
    assert f"--no-deps torch=={PINS['torch']}" in torch
    assert "--index-url" not in torch
    assert f"llama-cpp-python=={PINS['llama-cpp-python']}" in llama
    assert "--no-cache-dir" not in llama
    assert project.startswith("install --no-build-isolation")
    assert "[test]" in project


def test_a_cuda_build_is_replaced_by_the_cpu_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.system_packages, "has_compiler", lambda: True)
    torch = install(tmp_path, monkeypatch, {"pip": "23.2.1"}, report="torch-cuda")[1]
    assert f"--no-deps --index-url {steps.torch_build.CPU_INDEX} torch==" in torch


def test_what_is_there_is_not_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has = {**PINS, "torch": PINS["torch"] + "+cpu"}
    only = install(tmp_path, monkeypatch, has)
    assert len(only) == 1
    assert "--no-build-isolation" in only[0]


def test_another_version_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(install(tmp_path, monkeypatch, {**PINS, "torch": "2.12.0"})) == 2


def test_no_compiler_is_said_before_anything_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.system_packages, "has_compiler", lambda: False)
    has = {name: version for name, version in PINS.items() if name != "llama-cpp-python"}
    with pytest.raises(SetupError, match=r"A C\+\+ compiler is needed"):
        install(tmp_path, monkeypatch, has)


def test_a_wheel_that_pip_kept_needs_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.system_packages, "has_compiler", lambda: False)
    has = {name: version for name, version in PINS.items() if name != "llama-cpp-python"}
    assert len(install(tmp_path, monkeypatch, has, kept=True)) == 2


def test_every_dependency_is_pinned() -> None:
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((steps.PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    for requirement in map(Requirement, [*project["dependencies"], *extras]):
        name = canonicalize_name(requirement.name)
        if name != "bantam":
            assert requirement.specifier.contains(PINS[name]), name


def test_pins_ignore_comments() -> None:
    assert read_pins("# made by\nnumpy==2.4.6\n\nrich==15.0.0  # why\n") == {"numpy": "2.4.6", "rich": "15.0.0"}


def test_amx_is_left_out_on_x86_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    monkeypatch.setattr(steps.sys, "platform", "linux")
    monkeypatch.setattr(steps.system_packages, "is_x86", lambda: True)
    assert "-U__AMX_INT8__" in pip_environment()["CMAKE_ARGS"]
    monkeypatch.setattr(steps.system_packages, "is_x86", lambda: False)
    assert "CMAKE_ARGS" not in pip_environment()


def test_the_users_own_arguments_of_cmake_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_BLAS=ON")
    assert pip_environment()["CMAKE_ARGS"] == "-DGGML_BLAS=ON"


def test_a_full_disk_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_room(tmp_path)
    monkeypatch.setattr(steps, "ROOM_BYTES", 10**18)
    with pytest.raises(SetupError, match=r"needs 1000000000\.0 GB"):
        check_room(tmp_path)
