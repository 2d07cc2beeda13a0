"""What goes into the program, and what stays out. Read by `bantam.spec` and by the steps after it."""

from __future__ import annotations

import fnmatch
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from bundle.layout import PROJECT

TORCH_ROOTS = ("torch", "transformers", "peft", "accelerate")
"""Packages that pruning and recovery alone need. With all that only they need they are three times the rest together,
so they are a package of their own."""

WHOLE = (
    "numpy",
    "jinja2",
    "markupsafe",
    "typing_extensions",
    "packaging",
    "tqdm",
    "yaml",
    "regex",
    "psutil",
    "certifi",
)
"""Packages of the program that PyTorch's share: all their modules are there, used by Bantam or not."""

_PROJECTS = {"yaml": "pyyaml", "typing_extensions": "typing-extensions"}
WHOLE_PROJECTS = tuple(_PROJECTS.get(name, name) for name in WHOLE)
"""The same as the package index calls them."""

EXCLUDED = (
    *TORCH_ROOTS, "huggingface_hub", "hf_xet", "diskcache", "tkinter", "_tkinter", "test", "idlelib", "turtledemo",
    "lib2to3", "ensurepip", "pip", "setuptools", "pkg_resources", "PyInstaller", "IPython", "matplotlib", "scipy",
    "click", "rich", "OpenGL", "h5py", "cupy", "numba", "colorcet", "gi", "llama_cpp.server", "pytest", "mypy",
    "nis", "crypt", "_crypt", "spwd",
    "pyqtgraph.examples", "pyqtgraph.opengl", "pyqtgraph.jupyter", "pyqtgraph.canvas", "pyqtgraph.flowchart",
    "PySide6.QtQml", "PySide6.QtQuick", "PySide6.QtSql",
    "PySide6.QtPrintSupport", "PySide6.QtDesigner", "PySide6.QtHelp", "PySide6.QtUiTools", "numpy.f2py",
)  # fmt: skip

BY_NAME = ("PySide6.QtOpenGL", "PySide6.QtOpenGLWidgets")
"""Modules that packages import by name at run time only: pyqtgraph those, although nothing here draws with GL."""

QT_PLUGINS = (
    "platforms/*qxcb*", "platforms/*qwayland*", "platforms/*qoffscreen*", "platforms/qwindows*", "platforms/*qcocoa*",
    "imageformats/*qsvg*", "iconengines/*", "platformthemes/*xdgdesktopportal*", "platforminputcontexts/*", "styles/*",
    "wayland-shell-integration/*xdg-shell*", "wayland-decoration-client/*", "wayland-graphics-integration-client/*shm*",
    "egldeviceintegrations/none",
)  # fmt: skip
"""Those that a window of widgets uses. Drawing is in memory, so that no GPU and no GL driver is needed."""

SYSTEM_LIBRARIES = (
    "libstdc++.so.6", "libgcc_s.so.1", "libX11.so.6", "libX11-xcb.so.1", "libXau.so.6", "libXdmcp.so.6", "libxcb.so.1",
    "libxcb-glx.so.0", "libxcb-randr.so.0", "libxcb-render.so.0", "libxcb-shape.so.0", "libxcb-shm.so.0",
    "libxcb-sync.so.1", "libxcb-xfixes.so.0", "libxcb-xinput.so.0", "libxcb-xkb.so.1", "libxkbcommon.so.0",
    "libxkbcommon-x11.so.0", "libfontconfig.so.1", "libfreetype.so.6", "libglib-2.0.so.0", "libgthread-2.0.so.0",
    "libdbus-1.so.3", "libsystemd.so.0",
)  # fmt: skip
"""What every Linux desktop has, in a version that fits its configuration, its fonts, its keyboards and its drivers."""

_LIBRARY = re.compile(r"\.(so(\.\d+)*|dylib|dll|pyd)$")


def modules() -> list[str]:
    """All of Bantam's modules, many of which are imported by name at run time only."""
    files = (path for package in ("app", "workers", "ui") for path in sorted((PROJECT / package).rglob("*.py")))
    names = (".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in files)
    return [name.removesuffix(".__init__") for name in names if name != "app.__main__"]


def standard_library() -> list[str]:
    """The modules of Python that the packages of PyTorch may want, which is taken to be all."""
    root = Path(sysconfig.get_path("stdlib"))
    files = (path.relative_to(root).with_suffix("").parts for path in root.rglob("*.py"))
    names = {".".join(parts).removesuffix(".__init__") for parts in files} | sys.stdlib_module_names
    return sorted(name for name in names if _is_of_python(name.split(".")))


def _is_of_python(parts: list[str]) -> bool:
    left_out = {*EXCLUDED, "site-packages", "test", "tests", "antigravity", "this", "__main__", "__phello__"}
    return not left_out & set(parts) and all(part.isidentifier() for part in parts) and not parts[0].startswith("_")


def is_wanted(destination: str) -> bool:
    """Whether a file that PyInstaller has collected goes into the bundle; `destination` is its place there."""
    name = destination.replace("\\", "/")
    if name.startswith("PySide6/") and "/plugins/" in name:
        return any(fnmatch.fnmatch(name.partition("/plugins/")[2], pattern) for pattern in QT_PLUGINS)
    if name.startswith("PySide6/") and "/translations/" in name:
        return False
    return Path(name).name not in SYSTEM_LIBRARIES


def shared_libraries(folder: Path) -> Iterator[Path]:
    """All native code below `folder`."""
    for path in sorted(folder.rglob("*")):
        if _LIBRARY.search(path.name) and path.is_file() and not path.is_symlink():
            yield path
