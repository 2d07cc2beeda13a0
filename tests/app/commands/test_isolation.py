"""The command's child is never alone: what ends the one that waits for it ends it too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from app.system.paths import RESOURCES

# What `isolated` starts is this file again, as the program would be.
PROGRAM = """
import argparse, os, sys, threading
from app.commands import isolation

def run(parsed):
    print(os.getpid(), flush=True)
    threading.Event().wait()

isolation.program = lambda: [sys.executable, __file__]
isolation.isolated(run)(argparse.Namespace())
"""


def test_it_ends_with_the_one_that_waits(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    root = {"PYTHONPATH": str(RESOURCES.parent), "BANTAM_HOME": str(tmp_path), "PATH": ""}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=root) as outer:
        assert outer.stdout is not None
        child = psutil.Process(int(outer.stdout.readline()))
        assert child.pid != outer.pid
        outer.kill()
        outer.wait()
    _, alive = psutil.wait_procs([child], timeout=20)
    assert not alive
