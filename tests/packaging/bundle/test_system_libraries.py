"""What is read from native code, and the dependencies that are said of it."""

from __future__ import annotations

import pytest
from bundle.layout import BuildError
from bundle.system_libraries import Needs, debian_dependencies, parse

OBJDUMP = """
Dynamic Section:
  NEEDED               libpng16.so.16
  NEEDED               libEGL.so.1
  NEEDED               libc.so.6
  SONAME               libQt6Gui.so.6

Version definitions:
1 0x01 0x0a12 GLIBC_9.99

Version References:
  required from libc.so.6:
    0x06969194 0x00 05 GLIBC_2.34
    0x09691a75 0x00 03 GLIBC_2.2.5
  required from libstdc++.so.6:
    0x0297f870 0x00 04 GLIBCXX_3.4.29
"""


def test_needs_are_read() -> None:
    sonames, versions = parse(OBJDUMP)
    assert sonames == ["libpng16.so.16", "libEGL.so.1", "libc.so.6"]
    assert max(number for kind, number in versions if kind == "GLIBC") == (2, 34)
    assert ("GLIBCXX", (3, 4, 29)) in versions


def test_dependencies_name_the_packages_and_the_c_library() -> None:
    depends = debian_dependencies(Needs(frozenset({"libEGL.so.1", "libc.so.6", "ld-linux-x86-64.so.2"}), (2, 34)))
    assert depends[0] == "libc6 (>= 2.34)"
    assert "libegl1" in depends
    assert "fontconfig-config" in depends


def test_a_library_that_nobody_would_install_ends_the_build() -> None:
    with pytest.raises(BuildError, match="libodd"):
        debian_dependencies(Needs(frozenset({"libodd.so.3"}), (2, 34)))
