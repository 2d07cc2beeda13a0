"""The licences of everything in the program, as one text: what a bundle carries, else made from the packages here."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

from app.system.paths import RESOURCES

BUNDLED_NAME = "licences.txt"
_LICENCE_FILE = re.compile(r"^(licen[cs]e|copying|notice|authors)", re.IGNORECASE)
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_MOST_TEXT = 60_000
"""Characters of one package's licence that are shown; torch's is the only longer one."""
_FIELDS = ("License-Expression", "License")
_RULE = "=" * 78


def licences_text() -> str:
    """Of a bundle the list that was made when it was built; else the notices and the licences of what is installed.

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
