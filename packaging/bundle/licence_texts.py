"""Licence texts of installed packages and of Bantam's resources, and how they become one document."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from email.message import Message
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import cast

from bundle.layout import PROJECT

RESOURCES = PROJECT / "resources"
_NAMES = re.compile(r"(licen[cs]e|copying|notice|authors)[^/]*$|\.dist-info/licenses/", re.IGNORECASE)
_RULE = "=" * 100


def document(parts: Iterable[tuple[str, str]]) -> str:
    """Titles and texts as one document. A text that came before is referred to."""
    seen: dict[str, str] = {}
    pieces = []
    for title, text in parts:
        text = text.strip()
        first = seen.setdefault(text, title)
        pieces.append(f"{_RULE}\n{title}\n{_RULE}\n\n{text if first == title else f'The same text as of {first}.'}\n")
    return "\n".join(pieces)


def own_parts() -> list[tuple[str, str]]:
    """Bantam's own licence and those of what lies in its resources."""
    starter, icons = RESOURCES / "starter" / "LICENSE-PSF.txt", RESOURCES / "icons" / "LICENSE"
    parts = [
        ("Bantam: what it is made of", RESOURCES / "NOTICES.md"),
        ("The starter model (PSF License Version 2)", starter),
        ("Icons: Lucide (ISC) and Feather (MIT)", icons),
    ]
    own = RESOURCES.parent / "LICENSE"
    if own.is_file():
        parts.insert(0, ("Bantam (MIT)", own))
    return [(title, path.read_text("utf-8")) for title, path in parts]


def needed(roots: Iterable[str], left_out: Iterable[str] = ()) -> dict[str, Distribution]:
    """The installed ones of `roots` and of what they need, directly or not, by name, without what is `left_out`."""
    found: dict[str, Distribution] = {}
    seen = set(map(_normal, left_out))
    waiting = [name for root in roots if (name := _normal(root)) not in seen]
    seen.update(waiting)
    while waiting:
        name = waiting.pop()
        try:
            one = distribution(name)
        except PackageNotFoundError:  # needed on another system only, or by an extra
            continue
        found[name] = one
        for line in one.requires or ():
            other = _normal(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0])
            if "extra ==" not in line and other not in seen:
                seen.add(other)
                waiting.append(other)
    return found


def unlisted(modules: Iterable[str], listed: Container[str]) -> list[str]:
    """Installed packages of which there are top-level `modules` and which are not `listed` (by normal names)."""
    owners = packages_distributions()
    found = {_normal(owner) for module in modules for owner in owners.get(module, ())}
    return sorted(name for name in found if name not in listed)


def package_part(one: Distribution) -> tuple[str, str]:
    """Title and texts of one package; where it brings no text, what its metadata say."""
    about = cast(Message, one.metadata)  # which it is; its declared type lacks what Message has
    stated = about.get("License-Expression") or (about.get("License") or "").partition("\n")[0]
    if not stated or len(stated) > 100:
        kinds = [line.rpartition(":: ")[2] for line in about.get_all("Classifier") or () if line.startswith("License")]
        stated = ", ".join(kinds) or "see below"
    texts = [Path(str(one.locate_file(file))) for file in one.files or () if _NAMES.search(str(file))]
    read = [path.read_text("utf-8", "replace").strip() for path in texts if path.is_file() and path.suffix != ".py"]
    home = about.get("Home-page") or next(iter(about.get_all("Project-URL") or ()), "")
    return f"{about['Name']} {one.version} ({stated})", "\n\n".join(dict.fromkeys(read)) or f"{stated}. {home}".strip()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
