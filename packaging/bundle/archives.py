"""The two forms of a Linux program: an archive that runs where it is unpacked, and a Debian package."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bundle.layout import BuildError, debian_architecture, version

MAINTAINER = "The Bantam authors <bantam@users.noreply.github.com>"
HOMEPAGE = "https://github.com/bantam-llm/bantam"


def build_time(project: Path) -> datetime:
    """When the sources were last changed, so that the same sources give the same bytes: SOURCE_DATE_EPOCH, or git's."""
    stamp = os.environ.get("SOURCE_DATE_EPOCH") or _of_git(project)
    return datetime.fromtimestamp(int(stamp), UTC) if stamp else datetime.now(UTC)


def pack(folder: Path, top: str, archive: Path, moment: datetime) -> None:
    """Pack what is in `folder` under the folder name `top`, as nobody's files, in order."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = int(moment.timestamp())
        return entry

    part = archive.with_name(archive.name + ".part")
    with _zipped(part, moment) as zipped, tarfile.open(fileobj=zipped, mode="w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.add(path, f"{top}/{path.relative_to(folder)}", recursive=False, filter=plain)
    part.replace(archive)


@contextlib.contextmanager
def _zipped(path: Path, moment: datetime) -> Iterator[gzip.GzipFile]:
    """A gzip file whose header holds neither its name nor the present time."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=moment.timestamp()) as zipped:
        yield zipped


def pack_debian(root: Path, control: str, postrm: str, package: Path) -> None:
    """Make a .deb of the tree `root` (which holds usr/…); `control` without Installed-Size, which is counted here."""
    folder = root / "DEBIAN"
    folder.mkdir()
    (folder / "control").write_text(f"{control}Installed-Size: {installed_bytes(root) // 1024}\n", "utf-8")
    (folder / "md5sums").write_text(_checksums(root), "utf-8")
    if postrm:
        (folder / "postrm").write_text(postrm, "utf-8")
        (folder / "postrm").chmod(0o755)
    _set_modes(root)
    # zstd unpacks several times as fast as xz; the systems whose dpkg cannot have an older C library than we need.
    command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z12", "--build", str(root), str(package)]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise BuildError(f"dpkg-deb could not make {package.name}.")


def control(package: str, depends: list[str], summary: str, description: str, **more: str) -> str:
    """The fields of a Debian package, without Installed-Size."""
    fields = {
        "Package": package,
        "Version": version(),
        "Architecture": debian_architecture(),
        "Maintainer": MAINTAINER,
        "Homepage": HOMEPAGE,
        "Section": "science",
        "Priority": "optional",
        "Depends": ", ".join(depends),
        **{name.replace("_", "-"): value for name, value in more.items()},
        "Description": "\n ".join((summary, *description.splitlines())),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def installed_bytes(folder: Path) -> int:
    """What the files below `folder` take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with its links as links; hard links where the disk can, because the program is large."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _set_modes(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or _is_program(path) else 0o644)


def _is_program(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(path.stat().st_mode & stat.S_IXUSR) and file.read(2) in (b"\x7fE", b"#!")


def _checksums(root: Path) -> str:
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink())
    named = ((path, path.relative_to(root)) for path in files if "DEBIAN" not in path.parts)
    return "".join(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {name}\n" for path, name in named)


def _of_git(project: Path) -> str:
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=project, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""
