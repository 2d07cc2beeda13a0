"""What this Bantam is made of and what it runs on: versions, the processor's instruction sets in words.

Versions are read from the installed packages' metadata; nothing heavy is imported for them.
"""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass

from app import __version__
from app.system.hardware import instruction_sets

NOT_INSTALLED = "not installed"

_PACKAGES = (
    ("Qt", ("PySide6-Essentials", "PySide6")),
    ("llama.cpp (llama-cpp-python)", ("llama-cpp-python",)),
    ("PyTorch", ("torch",)),
    ("transformers", ("transformers",)),
)

_FEATURES = {
    "avx": "AVX",
    "avx2": "AVX2",
    "fma": "FMA",
    "f16c": "F16C (16-bit floats)",
    "avx_vnni": "AVX-VNNI (8-bit dot products)",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI (8-bit dot products)",
    "avx512_bf16": "AVX-512 BF16 (16-bit brain floats)",
    "amx_tile": "AMX (matrix tiles)",
    "amx_int8": "AMX for 8-bit numbers",
    "asimd": "NEON",
    "asimddp": "NEON dot products",
    "i8mm": "8-bit matrix products",
    "sve": "SVE",
}
"""Those that decide how fast llama.cpp is, by Linux's names, in the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the program and its version."""

    name: str
    version: str


def components() -> tuple[Component, ...]:
    """Bantam, Python, and the parts that do the work."""
    own = (Component("Bantam", __version__), Component("Python", platform.python_version()))
    return own + tuple(Component(name, _version(packages)) for name, packages in _PACKAGES)


def version_text() -> str:
    """For `bantam --version`: Bantam's own on the first line, the rest on the second."""
    own, *others = components()
    return f"{own.name} {own.version}\n" + ", ".join(f"{one.name} {one.version}" for one in others)


def cpu_features() -> tuple[str, ...]:
    """The instruction sets that matter here, in words. Empty where the system does not say."""
    known = set(instruction_sets())
    return tuple(words for flag, words in _FEATURES.items() if flag in known)


def cpu_sentence() -> str:
    """What the processor can do, in one line."""
    features = cpu_features()
    if not features:
        return "The system does not say which instruction sets the processor has."
    slow = "avx" in instruction_sets() and "avx2" not in instruction_sets()
    return ", ".join(features) + (". Without AVX2 answers take longer." if slow else "")


def _version(packages: tuple[str, ...]) -> str:
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return NOT_INSTALLED
