"""Collects the licences of everything in the program into the one file that it carries.

python -m bundle.licences PROGRAM_FOLDER      (in the build environment)
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution
from pathlib import Path

from bundle import environment
from bundle.contents import TORCH_ROOTS, WHOLE_PROJECTS, shared_libraries
from bundle.layout import ENGINE, LICENCES, PACKAGING
from bundle.licence_texts import document, needed, own_parts, package_part, unlisted

TEXTS = PACKAGING / "licences"
WITHOUT_TEXT = {
    "pyside6-essentials": ("LGPL-3.txt", "GPL-3.txt"),
    "shiboken6": ("LGPL-3.txt", "GPL-3.txt"),
    "tokenizers": ("Apache-2.0.txt",),
    "sentencepiece": ("Apache-2.0.txt",),
}
"""Packages that state a licence and bring no text of it."""

QT = """\
Qt 6, © The Qt Company Ltd. and others, is used unmodified under the GNU Lesser General Public License version 3: the
libraries libQt6*.so (Qt6*.dll, Qt*.framework) and PySide6 are separate files beside the program, and you may replace
them by your own builds. The source of this version: https://download.qt.io/official_releases/qt/ and
https://download.qt.io/official_releases/QtForPython/. What Qt itself contains of others is listed at
https://doc.qt.io/qt-6/licenses-used-in-qt.html.
"""


def parts(program: Path) -> list[tuple[str, str]]:
    """Title and text of each part of the program in the folder `program`."""
    return [
        *own_parts(),
        ("Python " + sys.version.partition(" ")[0], _python()),
        ("Qt 6 (LGPL-3.0)", QT),
        *_engine(),
        *(package(name, one) for name, one in sorted(_packages().items())),
        *_system_libraries(program),
        ("PyInstaller's loader (GPL-2.0 with an exception for the programs that it starts)", _pyinstaller()),
    ]


def missing(found: list[tuple[str, str]]) -> list[str]:
    """Titles of parts whose text is too short to be a licence: somebody must look."""
    return [title for title, text in found if len(text) < 300]


def _packages() -> dict[str, Distribution]:
    import re

    names = [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in environment.dependencies()]
    return needed((*names, *WHOLE_PROJECTS), left_out=(*TORCH_ROOTS, "huggingface-hub", "hf-xet", "diskcache"))


def modules_of(program: Path) -> set[str]:
    """The top-level modules in the program: those of PyInstaller's archive and those beside it."""
    from PyInstaller.archive.readers import CArchiveReader

    name = "bantam.exe" if sys.platform == "win32" else "bantam"
    packed = CArchiveReader(str(program / name)).open_embedded_archive("PYZ.pyz").toc
    beside = (path.name for path in (program / "_internal").iterdir())
    return {module.partition(".")[0] for module in (*packed, *beside)}


def package(name: str, one: Distribution) -> tuple[str, str]:
    """Title and texts of one package, with the text of a licence that it states and does not bring."""
    title, text = package_part(one)
    own = [(TEXTS / file).read_text("utf-8") for file in WITHOUT_TEXT.get(name, ())]
    return title, "\n\n".join((text, *own))


def _engine() -> list[tuple[str, str]]:
    source = next(ENGINE.glob("llama_cpp_python-*/"))
    vendor = source / "vendor" / "llama.cpp"
    found = [("llama-cpp-python (MIT)", source / "LICENSE.md"), ("llama.cpp and ggml (MIT)", vendor / "LICENSE")]
    found += [(f"In llama.cpp: {path.name}", path) for path in sorted((vendor / "licenses").glob("LICENSE*"))]
    return [(title, path.read_text("utf-8")) for title, path in found]


def _python() -> str:
    folders = (Path(sysconfig.get_path("stdlib")), Path(sys.base_prefix), Path("/usr/share/doc/python3"))
    names = ("LICENSE.txt", "LICENSE", "copyright")
    found = next(path for folder in folders for name in names if (path := folder / name).is_file())
    return found.read_text("utf-8")


def _pyinstaller() -> str:
    from importlib.metadata import distribution

    return package_part(distribution("pyinstaller"))[1]


def _system_libraries(program: Path) -> list[tuple[str, str]]:
    """Libraries that were taken from this system, with what its package says of their licence (Debian and its kin)."""
    packages: dict[str, list[str]] = {}
    for path in shared_libraries(program):
        owner = _owner(path.name)
        if owner:
            packages.setdefault(owner, []).append(path.name)
    found = []
    for package, names in sorted(packages.items()):
        copyright_file = Path("/usr/share/doc", package.partition(":")[0], "copyright")
        if copyright_file.is_file():
            found.append((f"{', '.join(names)} (Debian: {package})", copyright_file.read_text("utf-8", "replace")))
    return found


def _owner(library: str) -> str:
    """The package of a library that the system's loader would find by this name; "" where it is not the system's."""
    for folder in ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu"):
        if Path(folder, library).exists():
            name = str(Path(folder, library)).removeprefix("/usr")
            for path in (name, "/usr" + name):
                done = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True)
                if done.returncode == 0:
                    return done.stdout.split(": ")[0].split(",")[0]
    return ""


def main(program: Path) -> None:
    """Write the file; say which parts have no text, which a release must not have."""
    found = parts(program)
    for title in missing(found):
        print(f"No licence text was found for {title}.", file=sys.stderr)
    for name in unlisted(modules_of(program), {*_packages(), "llama-cpp-python"}):
        print(f"{name} is in the program, and its licence is not among the licences.", file=sys.stderr)
    (program / LICENCES).write_text(document(found), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
