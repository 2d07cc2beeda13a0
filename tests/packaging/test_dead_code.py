"""Dead code is found, and the list of names that are left alone holds none that could go."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SETTINGS = PROJECT / "pyproject.toml"


def dead_code(folder: Path, *options: str) -> list[str]:
    """The lines of vulture's report, with the project's own settings."""
    command = [sys.executable, "-m", "vulture", "--config", str(SETTINGS), *options]
    report = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert not report.stderr
    assert report.returncode == (3 if report.stdout else 0)
    return report.stdout.splitlines()


def test_dead_code_would_be_found(tmp_path: Path) -> None:
    for name in ("app", "workers", "ui", "packaging"):
        (tmp_path / name).mkdir()
    (tmp_path / "app" / "work.py").write_text("def work():\n    ...\n\ndef nobody_calls_this():\n    ...\n")
    (tmp_path / "ui" / "page.py").write_text(
        "from app.work import work\n\nclass Page:\n"
        "    def closeEvent(self, event): work(event)\n    def nor_this(self): ...\n\nPage()\n"
    )
    found = dead_code(tmp_path)
    assert len(found) == 2
    assert "app/work.py:4: unused function 'nobody_calls_this'" in found[0].replace("\\", "/")
    assert "unused method 'nor_this'" in found[1]


def test_each_name_that_is_left_alone_needs_it() -> None:
    left_alone = tomllib.loads(SETTINGS.read_text("utf-8"))["tool"]["vulture"]["ignore_names"]
    found = {line.split("'")[1] for line in dead_code(PROJECT, "--ignore-names", "")}
    assert len(found) > 50
    idle = [pattern for pattern in left_alone if not any(fnmatchcase(name, pattern) for name in found)]
    assert idle == [], "take these out of ignore_names in pyproject.toml"
