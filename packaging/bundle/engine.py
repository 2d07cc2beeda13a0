"""llama.cpp for any laptop: one set of kernels for each generation of processors, and ggml chooses when it starts.

The set-up compiles for the machine it runs on (`-march=native`); a bundle made so would die of an illegal instruction
on an older one. Source: GGML_CPU_ALL_VARIANTS in ggml's src/CMakeLists.txt.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from bundle.layout import ENGINE, PACKAGING, BuildError, machine, say

LEFT_OUT = ("cannonlake", "cascadelake", "cooperlake", "sapphirerapids")
"""Variants for servers and for a processor that was hardly sold. A machine of that kind takes the next best: icelake or
zen4. The last one would also bring the AMX kernels, which some compilers break (llama.cpp issue 20824)."""

CMAKE = (
    "-DGGML_NATIVE=OFF",
    "-DGGML_BACKEND_DL=ON",
    "-DGGML_CPU_ALL_VARIANTS=ON",
    "-DGGML_BACKEND_DIR:STRING=llama_cpp/lib",  # beside libllama; as a PATH it would be one of the source folder
    "-DLLAVA_BUILD=OFF",
)
WITHOUT_AMX = ("-DCMAKE_C_FLAGS=-U__AMX_INT8__", "-DCMAKE_CXX_FLAGS=-U__AMX_INT8__")


def build(python: Path) -> Path:
    """Download, compile and pack it; returns the wheel. What an earlier, interrupted build has compiled is kept."""
    wanted = requirement()
    wheels = ENGINE / "wheel"
    done = _wheel(wheels)
    if done is not None:
        return done
    source = _source(python, wanted)
    say(f"Compiling {wanted} for every processor of this kind: 10 to 30 minutes, once")
    pins = str(PACKAGING / "build-constraints.txt")
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--quiet"]
    command += ["--build-constraint", pins, "-C", f"build-dir={ENGINE / 'objects'}", "-w", str(wheels), str(source)]
    if subprocess.run(command, env={**os.environ, "CMAKE_ARGS": " ".join(cmake_arguments())}).returncode:
        raise BuildError("llama.cpp could not be compiled. A C++ compiler is needed; the lines above say more.")
    made = _wheel(wheels)
    assert made is not None
    return made


def requirement() -> str:
    """The pinned version."""
    pins = (PACKAGING / "constraints.txt").read_text("utf-8").splitlines()
    return next(line for line in pins if line.startswith("llama-cpp-python=="))


def cmake_arguments() -> tuple[str, ...]:
    """What the compilation is told. MSVC knows neither AMX nor this form of option."""
    return (*CMAKE, *WITHOUT_AMX) if sys.platform != "win32" and machine() == "x86_64" else CMAKE


def fingerprint() -> str:
    """Changes when another engine must be built."""
    return " ".join((requirement(), *cmake_arguments(), *LEFT_OUT))


def without_variants(cmake_lists: str, names: tuple[str, ...] = LEFT_OUT) -> str:
    """ggml's src/CMakeLists.txt without the lines that add these variants. Raises BuildError where one is not there."""
    for name in names:
        cmake_lists, count = re.subn(rf"^ *ggml_add_cpu_backend_variant\({name}\b.*\n", "", cmake_lists, flags=re.M)
        if count != 1:
            raise BuildError(f"ggml's list of CPU variants has changed: {name} is in it {count} times.")
    return cmake_lists


def without_common(cmake_lists: str) -> str:
    """The binding's CMakeLists.txt without llama.cpp's library for its own tools: 50 files that nothing here opens."""
    changed = cmake_lists.replace("set(LLAMA_BUILD_COMMON ON CACHE", "set(LLAMA_BUILD_COMMON OFF CACHE")
    if changed == cmake_lists:
        raise BuildError("The binding's CMakeLists.txt has changed: it no longer sets LLAMA_BUILD_COMMON.")
    return changed


def _source(python: Path, wanted: str) -> Path:
    folder = ENGINE / wanted.replace("llama-cpp-python==", "llama_cpp_python-")
    if not folder.is_dir():
        command = [str(python), "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--quiet"]
        command += ["--no-binary", "llama-cpp-python", "-d", str(ENGINE), wanted]
        if subprocess.run(command).returncode:
            raise BuildError(f"The source of {wanted} could not be downloaded.")
        with tarfile.open(folder.with_name(folder.name + ".tar.gz")) as archive:
            archive.extractall(ENGINE, filter="data")
        for lists, change in (
            (folder / "CMakeLists.txt", without_common),
            (folder / "vendor/llama.cpp/ggml/src/CMakeLists.txt", without_variants),
        ):
            lists.write_text(change(lists.read_text("utf-8")), "utf-8")
    return folder


def _wheel(folder: Path) -> Path | None:
    version = requirement().partition("==")[2]
    return next(folder.glob(f"llama_cpp_python-{version}-*.whl"), None)
