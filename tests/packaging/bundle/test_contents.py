"""What goes into the program."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from bundle import contents
from bundle.layout import PROJECT


@pytest.mark.parametrize(
    ("destination", "wanted"),
    [
        ("PySide6/Qt/plugins/platforms/libqxcb.so", True),
        ("PySide6/Qt/plugins/platforms/libqwayland.so", True),
        ("PySide6/Qt/plugins/platforms/libqeglfs.so", False),
        ("PySide6/plugins/platforms/qwindows.dll", True),
        ("PySide6\\plugins\\platforms\\qwindows.dll", True),
        ("PySide6/plugins/tls/qopensslbackend.dll", False),
        ("PySide6/Qt/plugins/platformthemes/libqgtk3.so", False),
        ("PySide6/Qt/plugins/imageformats/libqsvg.so", True),
        ("PySide6/Qt/translations/qtbase_de.qm", False),
        ("PySide6/Qt/lib/libQt6Core.so.6", True),
        ("libxcb-cursor.so.0", True),
        ("libX11.so.6", False),
        ("libstdc++.so.6", False),
        ("resources/icons/bird.svg", True),
    ],
)
def test_files_are_chosen(destination: str, wanted: bool) -> None:
    assert contents.is_wanted(destination) is wanted


def test_modules_that_are_imported_by_name_are_there() -> None:
    modules = contents.modules()
    assert "app.commands.check_draft" in modules
    assert "ui.workshop.page" in modules
    assert "app.engine" in modules
    assert not [name for name in modules if name.endswith("__init__")]


def test_nothing_that_bantam_imports_is_excluded() -> None:
    excluded = {name for name in contents.EXCLUDED if "." not in name} - set(contents.TORCH_ROOTS)
    imports = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
    for package in ("app", "workers", "ui"):
        for path in (PROJECT / package).rglob("*.py"):
            assert not excluded & set(imports.findall(path.read_text("utf-8"))), path


IMPORT_WITHOUT_EXCLUDED = """
import importlib, sys
from bundle import contents
for name in contents.EXCLUDED:
    sys.modules[name] = None
for name in contents.modules():
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(name, error.name)
"""


def test_every_module_is_imported_without_what_is_excluded_but_for_those_of_pruning_and_recovery() -> None:
    """Packages import by name, too, which neither their sources nor PyInstaller show."""
    path = os.pathsep.join((str(PROJECT), str(PROJECT / "packaging")))
    environment = {**os.environ, "PYTHONPATH": path, "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", IMPORT_WITHOUT_EXCLUDED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    failed = [line.split() for line in done.stdout.splitlines()]
    of_torch = ("app.prune.", "app.recover.")
    assert [line for line in failed if not line[0].startswith(of_torch) or line[1] not in contents.TORCH_ROOTS] == []


def test_the_standard_library_is_whole_but_for_its_tests_and_tk() -> None:
    modules = set(contents.standard_library())
    assert {"unittest.mock", "multiprocessing.shared_memory", "pickletools", "timeit", "math"} <= modules
    assert not [name for name in modules if name.startswith(("test.", "tkinter", "idlelib")) or ".tests" in name]
    assert not [name for name in modules if "site-packages" in name or "-" in name]
