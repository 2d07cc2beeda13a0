"""llm-compressor, the peer of pruning: installed once into the benchmarks' cache folder.

Without its dependencies on torch and transformers, which are those of this environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.pairs import say
from tests.benchmarks.shapes import cache_folder

_ALONE = ("llmcompressor==0.14.0.1", "compressed-tensors==0.19.0", "accelerate", "loguru")
_WITH_DEPENDENCIES = ("datasets", "pydantic", "pillow", "requests", "nvidia-ml-py")


def libraries() -> Path:
    """Where it is installed; the first time it takes some minutes."""
    folder = cache_folder() / _ALONE[0].replace("==", "-")
    if not (folder / "complete").exists():
        say(f"Installing {_ALONE[0]} to {folder}, some minutes.")
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--target", str(folder)]
        frozen = subprocess.run([sys.executable, "-m", "pip", "freeze"], check=True, capture_output=True, text=True)
        shared = [line for line in frozen.stdout.splitlines() if line.startswith(("numpy=", "huggingface"))]
        (constraints := cache_folder() / "constraints.txt").write_text("\n".join(shared))
        subprocess.run([*pip, "--no-deps", *_ALONE], check=True)
        subprocess.run([*pip, "--constraint", str(constraints), *_WITH_DEPENDENCIES], check=True)
        (folder / "complete").touch()
    return folder


def environment(libraries: Path) -> dict[str, str]:
    """Of a process that uses it: on one thread, and without a network."""
    return os.environ | {"PYTHONPATH": str(libraries), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
