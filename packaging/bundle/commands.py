"""The steps of a build in their order, and the command line of `packaging/build.py`."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from bundle import archives, environment, linux_files, trimming
from bundle.layout import (
    DIST,
    FROZEN,
    ICONS,
    LICENCES,
    PACKAGING,
    PROGRAM,
    PROJECT,
    TORCH,
    WORK,
    BuildError,
    debian_architecture,
    name_of,
    say,
    system,
    version,
)

DESCRIPTION = "Makes Bantam's packages for this system in dist/: programs that need no Python and no compiler."
STEPS = ("environment", "icons", "program", "torch", "packages")
_POSTRM = """\
#!/bin/sh
set -e
if [ "$1" = remove ] || [ "$1" = purge ]; then
    echo "Models, conversations and settings stay in ~/.local/share/Bantam of each user who has some."
fi
"""


def main(arguments: Sequence[str]) -> int:
    """Run the steps that were asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="build.py", description=DESCRIPTION)
    parser.add_argument("--only", choices=STEPS, action="append", help="this step alone, on what the others have made")
    parser.add_argument("--without-torch", action="store_true", help="leave out the second package")
    chosen = parser.parse_args(arguments)
    steps = chosen.only or [step for step in STEPS if not (step == "torch" and chosen.without_torch)]
    started = time.monotonic()
    try:
        for step in STEPS:
            if step in steps:
                globals()[f"make_{step}"]()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    say(f"Done after {(time.monotonic() - started) / 60:.0f} minutes.")
    return 0


def make_environment() -> None:
    """The build environment, with the engine compiled for every processor of this kind."""
    environment.make()


def make_icons() -> None:
    """The icon in all its forms."""
    environment.run("bundle.icons", str(ICONS))


def make_program() -> None:
    """The folder that is the program, with the licences of all that is in it."""
    say("Collecting the program")
    spec = PACKAGING / "bundle" / "bantam.spec"
    folders = ("--distpath", str(FROZEN), "--workpath", str(WORK / "pyinstaller"))
    environment.run("PyInstaller", "--noconfirm", "--log-level", "WARN", *folders, str(spec))
    if system() == "linux":
        trimming.trim(PROGRAM)
    environment.run("bundle.licences", str(PROGRAM))
    if system() == "macos":
        shutil.copy2(PROGRAM / LICENCES, FROZEN / "Bantam.app" / "Contents" / "MacOS" / LICENCES)


def make_torch() -> None:
    """The second package's folder."""
    say("Collecting PyTorch")
    environment.run("bundle.torch_package", str(TORCH))


def make_packages() -> None:
    """What is handed out, in dist/. Windows and macOS have programs of their own for it: see packaging/README.md."""
    DIST.mkdir(exist_ok=True)
    if system() != "linux":
        say(f"The program is in {FROZEN}; packaging/README.md tells how its installer is made.")
        return
    moment = archives.build_time(PROJECT)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        _archive(Path(folder) / "archive", moment)
        _debian(Path(folder) / "debian", moment)
    if TORCH.is_dir():
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            _torch_packages(Path(folder), moment)
    for path in sorted(DIST.iterdir()):
        say(f"{path.stat().st_size / 1e6:8.1f} MB  {path.relative_to(PROJECT)}")
    for name, tree in (("installed", PROGRAM), ("PyTorch, installed", TORCH)):
        if tree.is_dir():
            say(f"{archives.installed_bytes(tree) / 1e6:8.1f} MB  {name}")


def _archive(folder: Path, moment: datetime) -> None:
    archives.copy_tree(PROGRAM, folder)
    linux_files.write(folder / "share", moment.date())
    shutil.copy2(PACKAGING / "linux" / "install.sh", folder / "install.sh")
    readme = (PACKAGING / "linux" / "README.txt").read_text("utf-8").replace("@VERSION@", version())
    (folder / "README.txt").write_text(readme, "utf-8")
    archives.pack(folder, f"bantam-{version()}", DIST / f"{name_of('bantam')}.tar.gz", moment)


def _debian(root: Path, moment: datetime) -> None:
    from bundle import system_libraries

    archives.copy_tree(PROGRAM, root / "usr/lib/bantam")
    linux_files.write(root / "usr/share", moment.date())
    (root / "usr/bin").mkdir()
    (root / "usr/bin/bantam").symlink_to("../lib/bantam/bantam")
    document = root / "usr/share/doc/bantam"
    document.mkdir(parents=True)
    shutil.copy2(PROJECT / "LICENSE", document / "copyright")
    (document / LICENCES).symlink_to(f"../../../lib/bantam/{LICENCES}")
    depends = system_libraries.debian_dependencies(system_libraries.needs_of(PROGRAM))
    text = archives.control(
        "bantam",
        depends,
        "chat with a language model on this computer, without a GPU",
        "Says whether a model fits the memory before it loads it, shows how fast it answers,\n"
        "downloads models from the Hugging Face Hub and makes them smaller. A small starter\n"
        "model comes with it.",
        Suggests=f"bantam-torch (= {version()})",
        Recommends="gnome-keyring | kwalletmanager",
    )
    archives.pack_debian(root, text, _POSTRM, DIST / f"bantam_{version()}_{debian_architecture()}.deb")


def _torch_packages(folder: Path, moment: datetime) -> None:
    unpacked, root = folder / "archive", folder / "debian"
    archives.copy_tree(TORCH, unpacked / TORCH.name)
    name = name_of("bantam-torch")
    archives.pack(unpacked, f"bantam-{version()}", DIST / f"{name}.tar.gz", moment)
    archives.copy_tree(TORCH, root / "usr/lib/bantam" / TORCH.name)
    document = root / "usr/share/doc/bantam-torch"
    document.mkdir(parents=True)
    shutil.copy2(TORCH / LICENCES, document / "copyright")
    text = archives.control(
        "bantam-torch",
        [f"bantam (= {version()})"],
        "what Bantam needs to prune models and to recover their quality",
        "PyTorch and transformers, for Bantam alone. Chat, downloads and quantizing work without it.",
    )
    package = DIST / f"bantam-torch_{version()}_{debian_architecture()}.deb"
    archives.pack_debian(root, text, "", package)
