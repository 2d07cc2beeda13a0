"""Put this folder on PYTHONPATH and no Python, nor a child of it, can import Qt: as if it were not installed."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec


class QtIsAbsent(MetaPathFinder):
    """Answers for Qt's packages as an environment without them does."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Raise for Qt, know nothing of anything else."""
        if fullname.partition(".")[0] in ("PySide6", "shiboken6", "pytestqt"):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


sys.meta_path.insert(0, QtIsAbsent())
