"""What this Bantam is made of and what it runs on: versions, the processor's instruction sets in words.

Versions are read from the installed packages' metadata; nothing heavy is imported for them.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

from app import __version__
from app.system.hardware import instruction_sets
from app.system.paths import RESOURCES

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
    """The text for `bantam --version`: Bantam's own on the first line, the rest on the second."""
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


# The licences of everything in the program, as one text: what a bundle carries, else made from the packages here.


BUNDLED_NAME = "licences.txt"
_LICENCE_FILE = re.compile(r"^(licen[cs]e|copying|notice|authors)", re.IGNORECASE)
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_MOST_TEXT = 60_000
"""Characters of one package's licence that are shown; torch's is the only longer one."""
_FIELDS = ("License-Expression", "License")
_RULE = "=" * 78


def licences_text() -> str:
    """The licences: in a bundle the list that was made when it was built; else the notices and the licences of what
    is installed.

    Reads some hundred small files: for a thread.
    """
    bundled = bundled_list()
    if bundled is not None:
        return bundled.read_text(encoding="utf-8", errors="replace")
    return "\n".join((_own("LICENSE"), _own("resources/NOTICES.md"), *(_entry(one) for one in _installed())))


def bundled_list() -> Path | None:
    """The list beside a frozen program; None where this is none, or it has none."""
    if not getattr(sys, "frozen", False):
        return None
    places = (Path(sys.executable).parent / BUNDLED_NAME, RESOURCES.parent / BUNDLED_NAME)
    return next((place for place in places if place.is_file()), None)


def licence_name(distribution: Distribution) -> str:
    """The licence as the package names it: SPDX where there is such an expression."""
    metadata = distribution.metadata
    stated = next((text.strip() for name in _FIELDS for text in metadata.get_all(name) or ()), "")
    if stated and "\n" not in stated:
        return stated
    classifiers = (text for text in metadata.get_all("Classifier") or () if text.startswith("License ::"))
    return next((text.rpartition("::")[2].strip() for text in classifiers), "see its text")


def _own(name: str) -> str:
    try:
        return (RESOURCES.parent / name).read_text(encoding="utf-8")
    except OSError:
        return ""  # installed with pip, LICENSE is in the package's own folder


def _installed() -> list[Distribution]:
    """What Bantam needs and what that needs, by name. All that is installed where Bantam itself is not."""
    found: dict[str, Distribution] = {}
    waiting = ["bantam"]
    while waiting:
        name = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found or (distribution := _distribution(name)) is None:
            continue
        found[key] = distribution
        waiting += _required(distribution)
    found.pop("bantam", None)
    chosen = found.values() or importlib.metadata.distributions()
    return sorted(chosen, key=lambda one: one.metadata["Name"].lower())


def _distribution(name: str) -> Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except PackageNotFoundError:
        return None  # for another system


def _required(distribution: Distribution) -> Iterator[str]:
    for requirement in distribution.requires or ():
        match = _NAME.match(requirement)
        if match is not None and "extra ==" not in requirement:
            yield match[0]


def _entry(distribution: Distribution) -> str:
    head = f"{distribution.metadata['Name']} {distribution.version}: {licence_name(distribution)}"
    return f"{_RULE}\n{head}\n{_RULE}\n\n{_text(distribution)}\n"


def _text(distribution: Distribution) -> str:
    files = [file for file in distribution.files or () if _LICENCE_FILE.match(file.name)]
    own = [file for file in files if len(file.parts) <= 3 and ".dist-info" in file.parts[0]]
    texts = [file.read_text(encoding="utf-8") for file in own if file.locate().is_file()]  # type: ignore[attr-defined]
    text = "\n".join(texts).strip() or "The package carries no text of its own."
    if len(text) > _MOST_TEXT:
        text = text[:_MOST_TEXT] + "\n[…]"
    others = len(files) - len(own)
    more = f"\n\nFor what it contains: {others} more texts in its folder." if others else ""
    return text + more
