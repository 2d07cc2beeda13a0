"""Two programs that change one small file at once: a window, and a terminal. Neither loses what the other wrote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.engine.machine_record import batch_costs, read_choice, verified_file_types
from app.fit.speed import read_speed_book
from app.recipe.effort import Work, read_pace
from app.settings import load_settings
from app.system.paths import Paths

ROOT = Path(__file__).parents[3]
WRITE = """
import sys
from pathlib import Path
from app.engine import machine_record
from app.fit.speed import SpokenAnswer, change_speed_book
from app.recipe.effort import Work, remember_pace
from app.settings import load_settings, save_settings
from app.system.paths import Paths
import dataclasses

who, paths = sys.argv[1], Paths(Path(sys.argv[2]))
settings = load_settings(paths.settings)  # before the other program changes them
sys.stdin.readline()
for number in range(20):
    machine_record.remember_batch_costs(paths.machine, f"{who}{number}", {1: 1.0})
    machine_record.remember_verified(paths.machine, f"{who}{number}")
    machine_record.choose_draft(paths.drafts, Path(f"/{who}{number}.gguf"), Path("/draft.gguf"))
    change_speed_book(paths.speed, lambda book: book.with_answer(SpokenAnswer(f"{who}{number}", 1.0, 2.0)))
    remember_pace(paths.effort, Work[who], 1e12, 1e3)
    field = {"PRUNE": "context_tokens", "RECOVER": "target_ms_per_token"}[who]
    settings = dataclasses.replace(settings, **{field: 600 + number})
    save_settings(paths.settings, settings, [field])
"""


@pytest.fixture
def written(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path).ensure()
    programs = [
        subprocess.Popen([sys.executable, "-c", WRITE, who, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, text=True)
        for who in ("PRUNE", "RECOVER")
    ]
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.close()
    assert [program.wait(60) for program in programs] == [0, 0]
    return paths


def test_nothing_is_lost(written: Paths) -> None:
    names = [f"{who}{number}" for who in ("PRUNE", "RECOVER") for number in range(20)]
    assert all(batch_costs(written.machine, name) for name in names)
    assert verified_file_types(written.machine) == set(names)
    assert all(read_choice(written.drafts, Path(f"/{name}.gguf")).draft for name in names)
    assert {one.model for one in read_speed_book(written.speed).answers} == set(names)
    assert read_pace(written.effort, Work.PRUNE).measured
    assert read_pace(written.effort, Work.RECOVER).measured
    settings = load_settings(written.settings)
    assert (settings.context_tokens, settings.target_ms_per_token) == (619, 619)
