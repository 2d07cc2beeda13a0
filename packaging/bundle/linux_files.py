"""The files around the program on a Linux desktop: menu entry, icons, file type, AppStream, man page, licences."""

from __future__ import annotations

import gzip
import shutil
import sys
from datetime import date
from pathlib import Path

from bundle.icons import LINUX_SIZES, SVG
from bundle.layout import ICONS, PACKAGING, PROJECT, version

TEMPLATES = PACKAGING / "linux"
METAINFO = "io.github.bantam_llm.Bantam.metainfo.xml"


def write(share: Path, day: date) -> None:
    """Put them below `share`, which is /usr/share of a package or `share` of an archive."""
    _copy(TEMPLATES / "bantam.desktop", share / "applications" / "bantam.desktop")
    _copy(TEMPLATES / "bantam.xml", share / "mime" / "packages" / "bantam.xml")
    _fill(TEMPLATES / METAINFO, share / "metainfo" / METAINFO, day)
    for size in LINUX_SIZES:
        _copy(ICONS / f"bantam-{size}.png", share / "icons" / "hicolor" / f"{size}x{size}" / "apps" / "bantam.png")
    _copy(SVG, share / "icons" / "hicolor" / "scalable" / "apps" / "bantam.svg")
    manual = share / "man" / "man1" / "bantam.1"
    _fill(TEMPLATES / "bantam.1", manual, day)
    with gzip.GzipFile(f"{manual}.gz", "wb", 9, mtime=0) as packed:  # without the time, the same bytes each build
        packed.write(manual.read_bytes())
    manual.unlink()


def commands_as_roff() -> str:
    """The terminal commands and what each does, for the man page, from the list that the program itself uses."""
    sys.path.insert(0, str(PROJECT))
    from app.cli import COMMANDS

    escaped = {name: summary.replace("\\", "\\\\").replace("-", "\\-") for name, summary in COMMANDS.items()}
    return "\n".join(f".TP\n.B {name.replace('-', chr(92) + '-')}\n{text}" for name, text in escaped.items())


def _fill(template: Path, target: Path, day: date) -> None:
    text = template.read_text("utf-8").replace("@VERSION@", version()).replace("@DATE@", day.isoformat())
    if "@COMMANDS@" in text:
        text = text.replace("@COMMANDS@", commands_as_roff())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
