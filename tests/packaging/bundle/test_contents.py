"""What goes into the program."""

from __future__ import annotations

import re

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
    assert "ui.pages.workshop_page" in modules
    assert "app.engine" in modules
    assert not [name for name in modules if name.endswith("__init__")]


def test_nothing_that_bantam_imports_is_excluded() -> None:
    excluded = {name for name in contents.EXCLUDED if "." not in name} - set(contents.TORCH_ROOTS)
    imports = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
    for package in ("app", "workers", "ui"):
        for path in (PROJECT / package).rglob("*.py"):
            assert not excluded & set(imports.findall(path.read_text("utf-8"))), path


def test_the_standard_library_is_whole_but_for_its_tests_and_tk() -> None:
    modules = set(contents.standard_library())
    assert {"unittest.mock", "multiprocessing.shared_memory", "pickletools", "timeit", "math"} <= modules
    assert not [name for name in modules if name.startswith(("test.", "tkinter", "idlelib")) or ".tests" in name]
    assert not [name for name in modules if "site-packages" in name or "-" in name]
