"""A job whose process is killed at any moment leaves the library as it was, or with all of what it was to make."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.library.gguf_file import read_header
from app.library.library import scan
from app.library.manifest import origin_of
from app.library.verify import sha256_of
from app.measure.ledger import figures_of, read_ledger
from app.operation import Context
from app.quantize.importance import read_importance
from app.settings import Settings
from app.system.paths import Paths
from tests.real_models import CALIBRATION, STDLIB_3M
from tests.workers.killable import JOBS, matrix_of, model_folder, output_of, source_of, text_of

NEEDS_SOURCE = ("importance", "measure")


@pytest.fixture
def home(tmp_path: Path, name: str) -> Path:
    home = Paths(tmp_path / "home").ensure().home
    shutil.copytree(STDLIB_3M, model_folder(home))
    text_of(home).write_bytes(CALIBRATION.read_bytes()[:8000])
    if name in NEEDS_SOURCE:
        convert(Convert(model_folder(home), source_of(home)), Context())
    return home


def run(name: str, home: Path, events: int | None = None) -> int:
    """Run the job; kill it after so many events. Returns how many there were."""
    command = [sys.executable, "-m", "tests.workers.killable", name, str(home)]
    environment = os.environ | {"BANTAM_HOME": str(home), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    assert child.stdout is not None
    seen = 0
    while (events is None or seen < events) and child.stdout.readline():
        seen += 1
    if events is not None:
        child.kill()
    child.stdout.close()
    code = child.wait()
    assert events is not None or code == 0
    return seen


def models(home: Path) -> dict[str, str]:
    """What the window would list, with what is wrong with it."""
    return {entry.path.name: entry.problem for entry in scan(Paths(home), Settings())}


def is_complete(name: str, home: Path) -> bool:
    """Whether the job's result is there; raises where it is there and not whole."""
    if name == "measure":
        assert not list(home.glob("ledger*damaged*"))
        read_ledger(Paths(home).ledger)
        return source_of(home) in figures_of(Paths(home).ledger, [source_of(home)])
    if name == "importance":
        return matrix_of(home).exists() and bool(read_importance(matrix_of(home)))
    output = output_of(home)
    if not output.exists():
        return False
    read_header(output)
    origin = origin_of(output)
    assert name == "convert" or origin is not None
    assert origin is None or origin.sha256 == sha256_of(output)
    return True


def remove_result(name: str, home: Path) -> None:
    paths = {"measure": Paths(home).ledger, "importance": matrix_of(home)}
    paths.get(name, output_of(home)).unlink()


def left_over(home: Path) -> list[Path]:
    return [
        path for path in home.rglob("*") if path.name.endswith((".part", ".work")) or "references" in path.parts[:-1]
    ]


def kill_and_look(name: str, home: Path, kills: int) -> None:
    before = models(home)
    total = run(name, home)
    assert is_complete(name, home), "the control: unharmed, it is seen to be complete"
    after = models(home)
    remove_result(name, home)
    moments = random.Random(name)
    for _ in range(kills):
        run(name, home, moments.randint(0, total))
        complete = is_complete(name, home)
        assert models(home) == (after if complete else before)
        if complete:
            remove_result(name, home)
    run(name, home)
    assert is_complete(name, home)
    assert left_over(home) == []


@pytest.mark.parametrize("name", JOBS)
def test_it_is_as_before_or_complete(name: str, home: Path) -> None:
    kill_and_look(name, home, 3)


@pytest.mark.wide
@pytest.mark.parametrize("name", JOBS)
def test_it_is_as_before_or_complete_wherever_it_is_killed(name: str, home: Path) -> None:
    kill_and_look(name, home, 20)
