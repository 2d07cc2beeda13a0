"""llama.cpp's own tools, from the very source that the pinned llama-cpp-python carries.

    python -m tests.benchmarks.peers       # builds them once (10 minutes on 2 cores)

BANTAM_PEERS names a folder where they are already; otherwise they are built in the benchmarks' cache folder.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.shapes import cache_folder

TOOLS = (
    "llama-bench",
    "llama-completion",
    "llama-quantize",
    "llama-perplexity",
    "llama-imatrix",
    "llama-speculative-simple",
)
_AMX = ("__AMX_INT8__", "__AMX_TILE__", "__AMX_BF16__", "__AMX_FP16__")
_DEFINES = ("CMAKE_BUILD_TYPE=Release", "LLAMA_CURL=OFF", "LLAMA_BUILD_TESTS=OFF", "LLAMA_BUILD_UI=OFF")


def tool(name: str) -> Path:
    """The path of a tool, which is built with the others where it is missing."""
    given = os.environ.get("BANTAM_PEERS")
    folder = Path(given) if given else _build_folder() / "bin"
    if not (folder / name).exists():
        if given:
            raise SystemExit(f"BANTAM_PEERS is {given}, and {name} is not in it.")
        build()
    return folder / name


def build() -> None:
    """Fetch the source distribution of the pinned version and build the tools."""
    source = _source()
    # Without AMX, whose kernels crash in the first decode (llama.cpp issue 20824); everything else is native.
    no_amx = " ".join(f"-U{macro}" for macro in _AMX)
    flags = [f"-D{define}" for define in (*_DEFINES, f"CMAKE_C_FLAGS={no_amx}", f"CMAKE_CXX_FLAGS={no_amx}")]
    log = cache_folder() / "build.log"
    print(
        f"Building llama.cpp's tools, about 10 minutes on 2 cores; what the compiler says goes to {log}",
        file=sys.stderr,
    )
    with log.open("wb") as output:
        for command in (
            ["cmake", "-S", source, "-B", _build_folder(), *flags],
            ["cmake", "--build", _build_folder(), "-j", str(os.cpu_count()), "-t", *TOOLS],
        ):
            subprocess.run(command, check=True, stdout=output, stderr=output)


def bench(model: Path, *arguments: str) -> list[dict[str, float]]:
    """Run llama-bench; its rows, with `n_threads` and `avg_ts` (tokens/s)."""
    command = [tool("llama-bench"), "-m", model, "-o", "json", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows: list[dict[str, float]] = json.loads(done.stdout)
    return rows


def decode_speeds(model: Path, counts: Sequence[int], tokens: int) -> dict[int, float]:
    """llama-bench's decode tokens/s by number of threads."""
    arguments = ("-p", "0", "-n", str(tokens), "-r", "1", "-t", ",".join(map(str, counts)))
    return {int(row["n_threads"]): row["avg_ts"] for row in bench(model, *arguments)}


def _version() -> str:
    return importlib.metadata.version("llama-cpp-python")


def _build_folder() -> Path:
    return cache_folder() / f"llama.cpp-of-{_version()}"


def _source() -> Path:
    unpacked = cache_folder() / f"llama_cpp_python-{_version()}"
    if not unpacked.exists():
        wanted = f"llama-cpp-python=={_version()}"
        options = ["--no-deps", "--no-binary", "llama-cpp-python", "-d", cache_folder()]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, wanted], check=True)
        with tarfile.open(cache_folder() / f"llama_cpp_python-{_version()}.tar.gz") as archive:
            archive.extractall(cache_folder(), filter="data")
    return unpacked / "vendor" / "llama.cpp"


if __name__ == "__main__":
    for name in TOOLS:
        print(tool(name))
