"""The archive and the package: complete, of nobody in particular, and the same bytes for the same sources."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bundle import archives

MOMENT = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    (folder / "_internal").mkdir(parents=True)
    (folder / "bantam").write_bytes(b"\x7fELF program")
    (folder / "bantam").chmod(0o700)
    (folder / "_internal/libq.so.1").write_bytes(b"library")
    (folder / "_internal/libq.so").symlink_to("libq.so.1")
    return folder


def test_an_archive_holds_all_under_one_folder(program: Path, tmp_path: Path) -> None:
    archives.pack(program, "bantam-1", tmp_path / "a.tar.gz", MOMENT)
    with tarfile.open(tmp_path / "a.tar.gz") as packed:
        entries = {entry.name: entry for entry in packed}
    assert set(entries) == {
        f"bantam-1/{name}" for name in ("bantam", "_internal", "_internal/libq.so", "_internal/libq.so.1")
    }
    assert entries["bantam-1/bantam"].mode & 0o100
    assert entries["bantam-1/_internal/libq.so"].linkname == "libq.so.1"
    assert {(entry.uid, entry.uname, entry.mtime) for entry in entries.values()} == {(0, "root", MOMENT.timestamp())}


def test_the_same_sources_give_the_same_bytes(program: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        archives.pack(program, "bantam-1", tmp_path / f"{name}.tar.gz", MOMENT)
        (program / "bantam").touch()
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_the_time_is_that_of_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert archives.build_time(tmp_path).year == 2001


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="a Debian package is made with dpkg-deb")
def test_a_package_says_what_it_needs(program: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    archives.copy_tree(program, root / "usr/lib/bantam")
    text = archives.control("bantam", ["libc6 (>= 2.34)", "libegl1"], "one line", "two\nlines", Suggests="more")
    archives.pack_debian(root, text, "#!/bin/sh\n", tmp_path / "bantam.deb")
    said = subprocess.run(["dpkg-deb", "--info", tmp_path / "bantam.deb"], capture_output=True, text=True).stdout
    assert "Depends: libc6 (>= 2.34), libegl1" in said
    assert "Description: one line" in said
    listed = subprocess.run(["dpkg-deb", "--contents", tmp_path / "bantam.deb"], capture_output=True, text=True).stdout
    modes = {line.split()[5]: line.split()[0] for line in listed.splitlines()}
    assert modes["./usr/lib/bantam/bantam"] == "-rwxr-xr-x"
    assert modes["./usr/lib/bantam/_internal/libq.so.1"] == "-rw-r--r--"
    assert all("root/root" in line for line in listed.splitlines())
