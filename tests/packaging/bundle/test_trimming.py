"""What is taken out of a collected program."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bundle.trimming import link_copies, unreachable

NEEDED = {
    "libqxcb.so": ["libQt6Gui.so.6", "libxcb.so.1"],
    "libQt6Gui.so.6": ["libpng16.so.16"],
    "libpng16.so.16": ["libz.so.1"],
    "libz.so.1": [],
    "libgtk-3.so.0": ["libpango.so.0", "libz.so.1"],
    "libpango.so.0": ["libgtk-3.so.0"],
}


def test_what_no_root_leads_to_is_found_in_rings_too() -> None:
    assert unreachable(NEEDED, ["libqxcb.so"]) == {"libgtk-3.so.0", "libpango.so.0"}


def test_what_a_root_needs_stays() -> None:
    assert unreachable(NEEDED, ["libqxcb.so", "libgtk-3.so.0"]) == set()


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_copies_of_a_library_become_links(tmp_path: Path) -> None:
    for name in ("libggml.so", "libggml.so.0", "libggml.so.0.25.3", "libggml-cpu-x64.so"):
        (tmp_path / name).write_bytes(b"code" if name != "libggml-cpu-x64.so" else b"other code")
    link_copies(tmp_path)
    assert not (tmp_path / "libggml.so").is_symlink()
    assert (tmp_path / "libggml.so.0").samefile(tmp_path / "libggml.so")
    assert (tmp_path / "libggml.so.0.25.3").read_bytes() == b"code"
    assert not (tmp_path / "libggml-cpu-x64.so").is_symlink()


def test_libraries_that_differ_are_not_linked(tmp_path: Path) -> None:
    (tmp_path / "liba.so").write_bytes(b"one")
    (tmp_path / "liba.so.1").write_bytes(b"two")
    link_copies(tmp_path)
    assert (tmp_path / "liba.so.1").read_bytes() == b"two"
