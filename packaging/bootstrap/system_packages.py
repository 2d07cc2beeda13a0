"""What must come from the system: a C++ compiler and the libraries that Qt opens. Names the line that installs them."""

from __future__ import annotations

import ctypes
import os
import platform as host
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Mapping, NamedTuple

Platform = str  # "debian", "fedora", "arch", "suse", "linux" (any other), "macos", "windows"

INSTALL = {
    "debian": "sudo apt-get update && sudo apt-get install -y {}",
    "fedora": "sudo dnf install -y {}",
    "arch": "sudo pacman -S --needed --noconfirm {}",
    "suse": "sudo zypper install -y {}",
}


class Library(NamedTuple):
    """A shared library that Qt needs from the system, and the package of each distribution that has it."""

    soname: str
    debian: str
    fedora: str
    arch: str
    suse: str


# What the libraries of PySide6-Essentials 6.11 name as NEEDED and do not bring along.
ALWAYS = (
    Library("libEGL.so.1", "libegl1", "libglvnd-egl", "libglvnd", "libEGL1"),
    Library("libGL.so.1", "libgl1", "libglvnd-glx", "libglvnd", "libGL1"),
    Library("libX11.so.6", "libx11-6", "libX11", "libx11", "libX11-6"),
    Library("libxkbcommon.so.0", "libxkbcommon0", "libxkbcommon", "libxkbcommon", "libxkbcommon0"),
    Library("libfontconfig.so.1", "libfontconfig1", "fontconfig", "fontconfig", "libfontconfig1"),
    Library("libfreetype.so.6", "libfreetype6", "freetype", "freetype2", "libfreetype6"),
    Library("libdbus-1.so.3", "libdbus-1-3", "dbus-libs", "dbus", "libdbus-1-3"),
    Library("libglib-2.0.so.0", "libglib2.0-0", "glib2", "glib2", "libglib-2_0-0"),
    Library("libgssapi_krb5.so.2", "libgssapi-krb5-2", "krb5-libs", "krb5", "krb5"),
    Library("libgomp.so.1", "libgomp1", "libgomp", "gcc-libs", "libgomp1"),
)
X11 = (
    Library("libX11-xcb.so.1", "libx11-xcb1", "libX11-xcb", "libx11", "libX11-xcb1"),
    Library(
        "libxkbcommon-x11.so.0", "libxkbcommon-x11-0", "libxkbcommon-x11", "libxkbcommon-x11", "libxkbcommon-x11-0"
    ),
    Library("libxcb-cursor.so.0", "libxcb-cursor0", "xcb-util-cursor", "xcb-util-cursor", "libxcb-cursor0"),
    Library("libxcb-icccm.so.4", "libxcb-icccm4", "xcb-util-wm", "xcb-util-wm", "libxcb-icccm4"),
    Library("libxcb-image.so.0", "libxcb-image0", "xcb-util-image", "xcb-util-image", "libxcb-image0"),
    Library("libxcb-keysyms.so.1", "libxcb-keysyms1", "xcb-util-keysyms", "xcb-util-keysyms", "libxcb-keysyms1"),
    Library(
        "libxcb-render-util.so.0",
        "libxcb-render-util0",
        "xcb-util-renderutil",
        "xcb-util-renderutil",
        "libxcb-render-util0",
    ),
    Library("libxcb-util.so.1", "libxcb-util1", "xcb-util", "xcb-util", "libxcb-util1"),
    Library("libxcb-randr.so.0", "libxcb-randr0", "libxcb", "libxcb", "libxcb-randr0"),
    Library("libxcb-shape.so.0", "libxcb-shape0", "libxcb", "libxcb", "libxcb-shape0"),
    Library("libxcb-xkb.so.1", "libxcb-xkb1", "libxcb", "libxcb", "libxcb-xkb1"),
)
WAYLAND = (
    Library("libwayland-client.so.0", "libwayland-client0", "libwayland-client", "wayland", "libwayland-client0"),
    Library("libwayland-cursor.so.0", "libwayland-cursor0", "libwayland-cursor", "wayland", "libwayland-cursor0"),
)
COMPILER = {"debian": "g++", "fedora": "gcc-c++", "arch": "gcc", "suse": "gcc-c++"}
FAMILIES = {
    "debian": ("debian", "ubuntu", "linuxmint", "pop", "raspbian"),
    "fedora": ("fedora", "rhel", "centos", "rocky", "almalinux"),
    "arch": ("arch", "manjaro", "endeavouros"),
    "suse": ("suse", "opensuse"),
}


def linux_family(os_release: str) -> Platform:
    """The family of a distribution from the text of /etc/os-release: its ID, else the first known of ID_LIKE."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    names = [fields.get("ID", "").strip("\"'"), *fields.get("ID_LIKE", "").strip("\"'").split()]
    for name in names:
        for family, members in FAMILIES.items():
            if name in members or (name and name.split("-")[0] in members):
                return family
    return "linux"


def this_platform() -> Platform:
    """What the install lines are written for."""
    if sys.platform == "darwin":
        return "macos"
    if sys.platform == "win32":
        return "windows"
    try:
        return linux_family(Path("/etc/os-release").read_text("utf-8"))
    except OSError:
        return "linux"


def can_open(soname: str) -> bool:
    """Whether the system's loader finds a shared library."""
    try:
        ctypes.CDLL(soname)
    except OSError:
        return False
    return True


def libraries_for(environment: Mapping[str, str], window: bool) -> tuple[Library, ...]:
    """What Qt will open in this session: the offscreen platform needs the least, a window X11's or Wayland's too."""
    asked = environment.get("QT_QPA_PLATFORM", "").split(":")[0]
    if not window or asked in ("offscreen", "minimal"):
        return ALWAYS
    on_wayland = asked.startswith("wayland") or (not asked and bool(environment.get("WAYLAND_DISPLAY")))
    return ALWAYS + (WAYLAND if on_wayland else X11)


def missing_libraries(wanted: tuple[Library, ...], opens: Callable[[str], bool] = can_open) -> list[Library]:
    """Those that the loader does not find. Empty on macOS and Windows, where Qt brings everything."""
    return [library for library in wanted if sys.platform.startswith("linux") and not opens(library.soname)]


def install_line(packages: list[str], platform: Platform) -> str:
    """The line to type, or the names alone where the system's way of installing is not known."""
    names = " ".join(dict.fromkeys(packages))
    if platform not in INSTALL:
        return "Install with your system's packages: " + names
    line = INSTALL[platform].format(names)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return line.replace("sudo ", "") if is_root else line


def library_packages(missing: list[Library], platform: Platform) -> list[str]:
    """The packages that hold the libraries; their sonames on a system whose packages are not known."""
    return [getattr(library, platform, library.soname) for library in missing]


def has_compiler(environment: Mapping[str, str] = os.environ, system: str = sys.platform) -> bool:
    """Whether a C++ compiler is there. On macOS the stub /usr/bin/c++ exists without one, so Xcode is asked."""
    if system == "darwin":
        return shutil.which("xcode-select") is not None and _succeeds(["xcode-select", "-p"])
    if system == "win32":
        return shutil.which("cl") is not None or _has_build_tools(environment)
    names = (environment.get("CXX", "").split(" ")[0], "c++", "g++", "clang++")
    return any(name and shutil.which(name, path=environment.get("PATH")) for name in names)


def compiler_hint(platform: Platform) -> str:
    """How to get a C++ compiler here."""
    if platform == "macos":
        return "xcode-select --install"
    if platform == "windows":
        return (
            "winget install --id Microsoft.VisualStudio.2022.BuildTools --override "
            '"--wait --passive --add Microsoft.VisualStudio.Workload.VCTools --includeRecommended"'
        )
    return install_line([COMPILER.get(platform, "g++")], platform)


def venv_hint(platform: Platform, version: tuple[int, ...]) -> str:
    """How to get the modules that some distributions leave out of Python."""
    if platform == "debian":
        return install_line([f"python{version[0]}.{version[1]}-venv"], platform)
    return install_line(["python3"], platform) if platform in INSTALL else "Install Python from python.org, complete."


def is_x86(machine: str = "") -> bool:
    """Whether this processor (or the one named as `platform.machine()` does) is of the x86 family."""
    return (machine or host.machine()).lower() in ("x86_64", "amd64", "i686", "i386")


def _has_build_tools(environment: Mapping[str, str]) -> bool:
    programs = environment.get("ProgramFiles(x86)", "C:/Program Files (x86)")
    finder = Path(programs) / "Microsoft Visual Studio/Installer/vswhere.exe"
    wanted = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
    command = [str(finder), "-products", "*", "-requires", wanted, "-property", "installationPath"]
    return finder.exists() and bool(_output(command).strip())


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout
