"""The second package: PyTorch and what only it needs, as a folder of ordinary Python packages beside the program.

python -m bundle.torch_package FOLDER      (in the build environment)
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from app import __version__
from app.system.frozen import TORCH_STAMP
from bundle.contents import TORCH_ROOTS, WHOLE_PROJECTS
from bundle.layout import LICENCES
from bundle.licence_texts import document, needed
from bundle.licences import package

LEFT_OUT = (
    "/bin/",
    "/include/",
    "/share/cmake/",
    "/test/",
    "/tests/",
    "__pycache__",
    "/testdata/",
)
"""Parts of paths of what neither pruning nor recovery opens: what compiles against torch, and its own tests."""

_ASKED_FOR = "torch/bin/torch_shm_manager"
"""torch looks for it when it is imported."""


def is_wanted(file: str, is_shared: bool) -> bool:
    """Whether a file of a package is copied. Of a shared package only what says which version it is."""
    if ".dist-info/" in file:
        return file.endswith(("METADATA", "RECORD", "top_level.txt", "entry_points.txt"))
    if is_shared or file.startswith(".."):
        return False
    if file.endswith(_ASKED_FOR):
        return True
    return not any(part in f"/{file}" for part in LEFT_OUT) and not file.endswith((".a", ".lib", ".pdb", ".pyi"))


def main(folder: Path) -> None:
    """Copy the packages into `folder`, with the licences and the version that they belong to."""
    found = needed(TORCH_ROOTS)
    shutil.rmtree(folder, ignore_errors=True)
    for name, one in found.items():
        for file in one.files or ():
            if is_wanted(file.as_posix(), name in WHOLE_PROJECTS):
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(Path(str(one.locate_file(file))), target)
    parts = [package(name, one) for name, one in sorted(found.items()) if name not in WHOLE_PROJECTS]
    (folder / LICENCES).write_text(document(parts), "utf-8")
    (folder / TORCH_STAMP).write_text(f"{__version__}\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
