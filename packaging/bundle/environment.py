"""The build's own environment: Bantam's dependencies at their pinned versions, PyInstaller, and the portable engine.

It is never `.venv`, whose engine is compiled for one processor.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib

from bundle import engine
from bundle.layout import PACKAGING, PROJECT, VENV, WORK, BuildError, say, venv_python

PYINSTALLER = ("pyinstaller==6.22.3", "pyinstaller-hooks-contrib==2026.9")
_MARK = VENV / "bantam-bundle.txt"


def dependencies() -> list[str]:
    """What pyproject.toml asks for, without the engine, which is built in a way of its own."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    wanted: list[str] = settings["project"]["dependencies"]
    return [line for line in wanted if not line.startswith("llama-cpp-python")]


def make() -> None:
    """Make it, or bring it up to date. Does nothing where it is."""
    mark = _fingerprint()
    if _MARK.exists() and _MARK.read_text("utf-8") == mark:
        say("The build environment is there.")
        return
    if not venv_python().exists():
        say(f"Making the build environment in {VENV}")
        WORK.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(VENV)])
    constraints = str(PACKAGING / "constraints.txt")
    pip("install", "-c", constraints, "pip")
    say("Installing what Bantam needs")
    torch = next(line for line in dependencies() if line.startswith("torch"))
    pip("install", "-c", constraints, "--no-deps", *_torch_index(), torch)
    pip("install", "-c", constraints, *dependencies(), *PYINSTALLER)
    wheel = engine.build(venv_python())
    # Its dependencies are the high-level interface's, which Bantam does not use.
    pip("install", "--no-deps", "--force-reinstall", str(wheel))
    _MARK.write_text(mark, "utf-8")


def pip(*arguments: str) -> None:
    """Run the environment's pip; raises BuildError where it fails."""
    _run([str(venv_python()), "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"])


def run(module: str, *arguments: str) -> None:
    """Run one of our modules with the environment's Python, with Bantam's sources to import."""
    path = os.pathsep.join((str(PROJECT), str(PACKAGING)))
    environment = {**os.environ, "PYTHONPATH": path, "QT_QPA_PLATFORM": "offscreen"}
    _run([str(venv_python()), "-m", module, *arguments], environment)


def _torch_index() -> list[str]:
    """PyTorch's own index where the package index has a build for GPUs only."""
    from bootstrap.torch_build import CPU_INDEX

    return ["--extra-index-url", CPU_INDEX] if sys.platform == "linux" else []


def _fingerprint() -> str:
    digest = hashlib.sha256("\n".join((*dependencies(), *PYINSTALLER, engine.fingerprint())).encode())
    for name in ("constraints.txt", "build-constraints.txt"):
        digest.update((PACKAGING / name).read_bytes())
    return digest.hexdigest()


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment)
    if done.returncode:
        raise BuildError(f"This failed with exit code {done.returncode}: {' '.join(command)}")
