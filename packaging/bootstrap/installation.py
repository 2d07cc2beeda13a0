"""The set-up, in steps that can each be repeated: environment, pip, torch, llama.cpp, Bantam itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Iterable, Mapping

from bootstrap import interpreter, system_packages, torch_build
from bootstrap.console import SetupError, minutes, say
from bootstrap.environment import Environment, clean_environment, fingerprint
from bootstrap.pip_output import explain_failure, run_pip

PROJECT = Path(__file__).resolve().parents[2]
PINS = PROJECT / "packaging" / "constraints.txt"
BUILD_PINS = PROJECT / "packaging" / "build-constraints.txt"
ROOM_BYTES = 3 * 10**9  # .venv takes 1.7 GB; pip's downloads and the compilation need room beside it
# On a CPU with AMX the compiler loses llama.cpp's tile configuration and the first decode crashes. Without this
# macro that one kernel is left out, and all others still use what the CPU has.
WITHOUT_AMX = "-DCMAKE_C_FLAGS=-U__AMX_INT8__ -DCMAKE_CXX_FLAGS=-U__AMX_INT8__"


def set_up(extras: Iterable[str] = ()) -> Environment:
    """Bring `.venv` up to date and return it. Says and downloads nothing when there is nothing to do."""
    environment = Environment(PROJECT / ".venv")
    mark = fingerprint(PROJECT)
    if environment.is_current(mark, extras):
        return environment
    wanted = environment.extras() | set(extras)
    started = time.monotonic()
    Installation(environment, wanted).run()
    environment.mark_complete(mark, wanted)
    say(f"Ready after {minutes(time.monotonic() - started)}.")
    return environment


class Installation:
    """One run of the steps. What an earlier run has done is kept, so that a broken set-up goes on where it stopped."""

    def __init__(self, environment: Environment, extras: set[str]) -> None:
        self._environment = environment
        self._extras = extras
        self._pins = read_pins(PINS.read_text("utf-8"))

    def run(self) -> None:
        """All steps, in the order in which they must stand: torch before anything that could pull another build."""
        say(f"Setting Bantam up in {self._environment.folder}")
        self._make_environment()
        self._environment.mark_incomplete(self._extras)
        installed = self._environment.installed()
        if "pip" not in installed:
            self._environment.ensure_pip()
        if not (self._has(installed, "torch") and self._has(installed, "llama-cpp-python")):
            check_room(PROJECT)
        self._install_tools(installed)
        self._install_torch(installed)
        self._install_llama(installed)
        self._install_project()

    def _make_environment(self) -> None:
        if self._environment.is_usable():
            say("  1/5 The environment is there.")
            return
        found = interpreter.find(system_packages.this_platform())
        say(f"  1/5 Making the environment with {found.label} ({found.path})")
        self._environment.make(found)

    def _install_tools(self, installed: Mapping[str, str]) -> None:
        if self._has(installed, "pip") and self._has(installed, "setuptools"):
            say("  2/5 pip and setuptools are there.")
            return
        say("  2/5 Installing pip and setuptools")
        # The pip of the environment may be too old for the options that the other steps use.
        self._pip("install", self._pinned("pip"), self._pinned("setuptools"), modern=False)

    def _install_torch(self, installed: Mapping[str, str]) -> None:
        wanted = self._pinned("torch")
        if self._has(installed, "torch"):
            say(f"  3/5 torch {installed['torch']} is there.")
            return
        from_index = []
        if torch_build.cuda_requirements(self._ask_pip(wanted)):
            from_index = ["--index-url", torch_build.CPU_INDEX]
        say(f"  3/5 Installing {wanted}, the build for CPUs" + (" from PyTorch's own index" if from_index else ""))
        # Without its dependencies: those come from the ordinary index with the project, at the pinned versions.
        self._pip("install", "--no-deps", *from_index, wanted)

    def _install_llama(self, installed: Mapping[str, str]) -> None:
        wanted = self._pinned("llama-cpp-python")
        if self._has(installed, "llama-cpp-python"):
            say("  4/5 llama.cpp is there.")
            return
        kept = self._is_in_cache("llama_cpp_python", wanted)
        if not kept and not system_packages.has_compiler():
            raise SetupError(
                "A C++ compiler is needed to build llama.cpp for this machine, and none was found.",
                system_packages.compiler_hint(system_packages.this_platform()),
            )
        compiled = "compiled here before, kept by pip" if kept else "compiled for this machine once, 5 to 10 minutes"
        say(f"  4/5 Installing {wanted}, {compiled}")
        self._pip("install", "--verbose", "--build-constraint", str(BUILD_PINS), "-c", str(PINS), wanted)

    def _install_project(self) -> None:
        extras = f"[{','.join(sorted(self._extras))}]" if self._extras else ""
        say("  5/5 Installing Bantam and the rest of what it needs" + (f" {extras}" if extras else ""))
        # setuptools is there at its pinned version: with isolation pip would fetch it again at each change.
        self._pip("install", "--no-build-isolation", "-c", str(PINS), "-e", str(PROJECT) + extras)

    def _pip(self, *arguments: str, modern: bool = True) -> None:
        command = [str(self._environment.python), "-m", "pip", *arguments, "--no-input"]
        if modern:
            command += ["--progress-bar", "raw"]
        run_pip(command, pip_environment(), self._environment.log)

    def _ask_pip(self, wanted: str) -> dict[str, Any]:
        """What pip would install for one requirement, without its dependencies, as pip's own report."""
        options = ["--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--no-input"]
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            command = [str(self._environment.python), "-m", "pip", "install", *options, "--report", str(report), wanted]
            asked = subprocess.run(command, capture_output=True, text=True, env=pip_environment())
            if asked.returncode:
                raise explain_failure(asked.stdout + asked.stderr, self._environment.log)
            answer: dict[str, Any] = json.loads(report.read_text("utf-8"))
        return answer

    def _is_in_cache(self, wheel: str, wanted: str) -> bool:
        command = [str(self._environment.python), "-m", "pip", "cache", "list", wheel + "*"]
        cached = subprocess.run(command, capture_output=True, text=True, env=pip_environment())
        return f"{wheel}-{wanted.partition('==')[2]}-" in cached.stdout

    def _has(self, installed: Mapping[str, str], name: str) -> bool:
        return installed.get(name, "").partition("+")[0] == self._pins[name]

    def _pinned(self, name: str) -> str:
        return f"{name}=={self._pins[name]}"


def read_pins(text: str) -> dict[str, str]:
    """Names and exact versions from a constraints file."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {name: version for name, _, version in pairs}


def pip_environment() -> dict[str, str]:
    """What pip and the compilation see. A CMAKE_ARGS that is set is used as it is."""
    variables = clean_environment()
    variables.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONUNBUFFERED="1", PIP_REQUIRE_VIRTUALENV="0")
    if system_packages.is_x86() and sys.platform != "win32":
        variables.setdefault("CMAKE_ARGS", WITHOUT_AMX)
    return variables


def check_room(folder: Path) -> None:
    """Raise SetupError before anything is downloaded where the disk cannot take it."""
    free = shutil.disk_usage(folder).free
    if free < ROOM_BYTES:
        raise SetupError(
            f"The set-up needs {ROOM_BYTES / 1e9:.1f} GB on the disk of {folder}, and {free / 1e9:.1f} GB are free.",
            "Make room, then run this again.",
        )


def run_in(environment: Environment, arguments: list[str]) -> int:
    """Become `python arguments…` of the environment; on Windows, which cannot, wait for it."""
    command = [str(environment.python), *arguments]
    if sys.platform != "win32":
        sys.stdout.flush()
        os.execv(command[0], command)
    return subprocess.call(command)
