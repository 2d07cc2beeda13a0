"""A command as a whole process: how long it took, and the most memory it held."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

Run = tuple[float, float]
"""Seconds, and peak resident bytes."""


def run_process(
    command: list[str], output: Path, environment: dict[str, str] | None = None, folder: Path | None = None
) -> Run:
    """Run it in `folder` with `output` removed before. Raises SystemExit where it fails or does not write it."""
    output.unlink(missing_ok=True)
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=folder)
    peak = 0
    while child.poll() is None:
        # Not ru_maxrss: a new process begins with that of its parent, and this one may hold more than a small model.
        peak = max(peak, _peak_bytes(child.pid))
        time.sleep(0.02)
    if child.returncode or not output.exists():
        raise SystemExit(f"failed with {child.returncode}: {command}")
    return time.monotonic() - start, peak


def _peak_bytes(pid: int) -> int:
    """Of its memory since it was started; 0 once it has ended."""
    match = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) * 1024 if match else 0
