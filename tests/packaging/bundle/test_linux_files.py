"""The files around the program: in their places, filled in, and right in the eyes of the desktop's own checkers."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bundle import linux_files
from bundle.layout import PACKAGING, version

from app.cli import COMMANDS

DAY = date(2026, 11, 25)


@pytest.fixture
def share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    icons = tmp_path / "icons"
    icons.mkdir()
    for size in linux_files.LINUX_SIZES:
        (icons / f"bantam-{size}.png").write_bytes(b"picture")
    monkeypatch.setattr(linux_files, "ICONS", icons)
    linux_files.write(tmp_path / "share", DAY)
    return tmp_path / "share"


def test_the_manual_has_every_command(share: Path) -> None:
    text = gzip.decompress((share / "man/man1/bantam.1.gz").read_bytes()).decode().replace("\\-", "-")
    assert f"Bantam {version()}" in text
    assert [name for name in COMMANDS if f".B {name}\n" not in text] == []
    assert "@" not in text


def test_a_gguf_is_known_by_its_name_and_its_first_bytes(share: Path) -> None:
    kinds = ElementTree.parse(share / "mime/packages/bantam.xml").getroot()
    space = "{http://www.freedesktop.org/standards/shared-mime-info}"
    (kind,) = kinds
    assert kind.find(f"{space}glob").get("pattern") == "*.gguf"
    assert kind.find(f"{space}magic/{space}match").get("value") == "GGUF"
    entry = (share / "applications/bantam.desktop").read_text()
    assert f"MimeType={kind.get('type')};" in entry
    assert "Exec=bantam %f" in entry


@pytest.mark.parametrize(
    ("checker", "file"),
    [
        (["desktop-file-validate"], "applications/bantam.desktop"),
        (["appstreamcli", "validate", "--no-net"], f"metainfo/{linux_files.METAINFO}"),
        (["man", "--warnings", "-l"], "man/man1/bantam.1.gz"),
    ],
)
def test_the_desktops_checkers_are_content(share: Path, checker: list[str], file: str) -> None:
    if shutil.which(checker[0]) is None:
        pytest.skip(f"{checker[0]} is not here")
    done = subprocess.run([*checker, str(share / file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr.lower()


def test_an_unpacked_program_comes_into_the_menu_and_out_again(share: Path, tmp_path: Path) -> None:
    if os.name != "posix" or shutil.which("sh") is None:
        pytest.skip("a script for Linux")
    program, home = tmp_path / "Program & “Größe”", tmp_path / "home"
    program.mkdir()
    home.mkdir()
    shutil.copytree(share, program / "share")
    shutil.copy2(PACKAGING / "linux/install.sh", program / "install.sh")
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    subprocess.run([program / "install.sh"], env=environment, check=True, capture_output=True)
    entry = (home / ".local/share/applications/bantam.desktop").read_text("utf-8")
    assert f'Exec="{program}/bantam" %f' in entry
    assert (home / ".local/bin/bantam").is_symlink()
    (home / ".local/share/Bantam").mkdir()
    said = subprocess.run(
        [program / "install.sh", "--remove"], env=environment, check=True, capture_output=True, text=True
    )
    left = [path for path in home.rglob("*") if not path.is_dir() and path.name != "mimeinfo.cache"]
    assert [path for path in left if "bantam" in path.name.lower()] == []
    assert "stay in" in said.stdout
