"""Missing system packages are named with the line of the system at hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bootstrap import system_packages as packages

UBUNTU = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nNAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n'
MINT = 'NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\n'
ROCKY = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n'
ENDEAVOUR = 'NAME="EndeavourOS"\nID="endeavouros"\nID_LIKE="arch"\n'
TUMBLEWEED = 'NAME="openSUSE Tumbleweed"\nID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n'
KALI = "ID=kali\nID_LIKE=debian\n"
ALPINE = 'NAME="Alpine Linux"\nID=alpine\n'


@pytest.mark.parametrize(
    ("text", "family"),
    [
        (UBUNTU, "debian"),
        (MINT, "debian"),
        (KALI, "debian"),
        (ROCKY, "fedora"),
        (ENDEAVOUR, "arch"),
        (TUMBLEWEED, "suse"),
        (ALPINE, "linux"),
        ("", "linux"),
    ],
)
def test_family(text: str, family: str) -> None:
    assert packages.linux_family(text) == family


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux leaves these to its packages")
def test_the_loader_is_asked() -> None:
    there = packages.Library("libc.so.6", "libc6", "glibc", "glibc", "glibc")
    absent = packages.Library("libbantam-absent.so.1", "absent", "absent", "absent", "absent")
    assert packages.missing_libraries((there, absent)) == [absent]


def test_a_window_needs_what_its_display_needs() -> None:
    def names(environment: dict[str, str], window: bool = True) -> set[str]:
        return {library.soname for library in packages.libraries_for(environment, window)}

    assert "libxcb-cursor.so.0" in names({"DISPLAY": ":0"})
    assert "libwayland-client.so.0" in names({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"})
    assert "libxcb-cursor.so.0" not in names({"WAYLAND_DISPLAY": "wayland-0"})
    assert "libxcb-cursor.so.0" in names({"WAYLAND_DISPLAY": "wayland-0", "QT_QPA_PLATFORM": "xcb"})
    assert "libxcb-cursor.so.0" not in names({"DISPLAY": ":0", "QT_QPA_PLATFORM": "offscreen"})
    assert "libxcb-cursor.so.0" not in names({"DISPLAY": ":0"}, window=False)
    assert "libEGL.so.1" in names({}, window=False)


def test_the_line_names_each_package_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000, raising=False)
    missing = [library for library in packages.X11 if library.fedora == "libxcb"]
    assert len(missing) > 1
    line = packages.install_line(packages.library_packages(missing, "fedora"), "fedora")
    assert line == "sudo dnf install -y libxcb"


def test_root_needs_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.os, "geteuid", lambda: 0, raising=False)
    assert packages.install_line(["g++"], "debian") == "apt-get update && apt-get install -y g++"


def test_an_unknown_system_is_told_the_files() -> None:
    missing = list(packages.WAYLAND)
    line = packages.install_line(packages.library_packages(missing, "linux"), "linux")
    assert line.endswith("libwayland-client.so.0 libwayland-cursor.so.0")


@pytest.mark.skipif(sys.platform == "win32", reason="a compiler is found otherwise there")
def test_a_compiler_is_found_on_the_path_or_where_cxx_says(tmp_path: Path) -> None:
    def there(**variables: str) -> bool:
        return packages.has_compiler({"PATH": str(tmp_path), **variables}, system="linux")

    assert not there()
    other = tmp_path / "my-compiler"
    other.touch(mode=0o755)
    assert not there()
    assert there(CXX="my-compiler -pipe")
    (tmp_path / "clang++").touch(mode=0o755)
    assert there()


@pytest.mark.parametrize("platform", ["debian", "fedora", "arch", "suse", "linux", "macos", "windows"])
def test_each_system_has_a_line_for_the_compiler(platform: str) -> None:
    assert packages.compiler_hint(platform)


@pytest.mark.parametrize(("machine", "x86"), [("x86_64", True), ("AMD64", True), ("aarch64", False), ("arm64", False)])
def test_processor(machine: str, x86: bool) -> None:
    assert packages.is_x86(machine) is x86
