"""Throughput of a download against `hf download` from the same local hub, in turns; and the child's memory meanwhile.

    python -m tests.benchmarks.download [--megabytes 600] [--pairs 5]

Both are whole processes, with their start; both write to the same disk. Ours also hashes and checks what arrives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from app.hub.messages import Download, DownloadProgress
from app.hub.plan import make_plan
from app.hub.repository import open_repository
from app.hub.transport import Hub
from tests.benchmarks import pairs
from tests.benchmarks.engine import Child
from tests.benchmarks.pairs import Figure, Goal

_REPOSITORY, _FILE = "bench/model", "model-Q4_0.gguf"
_PORT = 8377


def main() -> int:
    parser = pairs.parser(__doc__, pairs=5)
    parser.add_argument("--megabytes", type=int, default=600)
    options = parser.parse_args()
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "hub" / _REPOSITORY / _FILE, options.megabytes)
        server = _serve(folder / "hub")
        try:
            turns = pairs.in_turns(
                options.pairs,
                lambda: pairs.watched(lambda: _ours(folder), psutil.Process(server.pid)),
                lambda: pairs.watched(lambda: _theirs(folder), psutil.Process(server.pid)),
            )
        finally:
            server.terminate()
            server.wait()
    ours = [options.megabytes / seconds for seconds, _, _ in turns.ours]
    theirs = [options.megabytes / seconds for seconds in turns.theirs]
    peaks = tuple(peak / 1e6 for _, _, peak in turns.ours)
    growth = tuple((peak - start) / 1e6 for _, start, peak in turns.ours)
    figures = [
        Figure("ours", tuple(ours), "MB/s"),
        Figure("hf download", tuple(theirs), "MB/s"),
        Figure("ours ÷ hf download", pairs.ratios(ours, theirs), goal=Goal(0.9, at_least=True), note=turns.note),
        Figure("peak memory of the child", peaks, "MB"),
        Figure("of that, since its first progress", growth, "MB", goal=Goal(20)),
    ]
    return pairs.show(figures, before, options.json)


def _write(path: Path, megabytes: int) -> None:
    path.parent.mkdir(parents=True)
    block = os.urandom(1_000_000)
    with path.open("wb") as file:
        for number in range(megabytes):
            file.write(number.to_bytes(8, "little") + block[8:])


def _serve(folder: Path) -> subprocess.Popen[bytes]:
    """The hub in a process of its own; its hashes are computed before anything is measured."""
    command = [sys.executable, "-m", "tests.hub_server", str(folder), "--port", str(_PORT)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert server.stdout is not None
    server.stdout.readline()
    open_repository(Hub(f"http://127.0.0.1:{_PORT}"), _REPOSITORY)
    return server


def _ours(folder: Path) -> tuple[float, int, int]:
    """Seconds of the whole child, its memory at the first progress, its peak."""
    home = folder / "ours"
    start = time.perf_counter()
    with Child(home) as child:
        address = Hub(f"http://127.0.0.1:{_PORT}")
        repository = open_repository(address, _REPOSITORY)
        plan = make_plan(address.endpoint, repository, repository.models[0], home / "models")
        first: list[int] = []

        def on_event(event: object) -> None:
            if isinstance(event, DownloadProgress) and event.done_bytes and not first:
                first.append(child.resident_bytes())

        child.ask(Download(plan), on_event)
        seconds = time.perf_counter() - start
        peak = _peak_bytes(child.ps)
    shutil.rmtree(home)
    return seconds, (first or [peak])[0], peak


def _theirs(folder: Path) -> float:
    home = folder / "theirs"
    environment = os.environ | {
        "HF_ENDPOINT": f"http://127.0.0.1:{_PORT}", "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(home / "cache"),
    }  # fmt: skip
    command = [Path(sys.executable).with_name("hf"), "download", _REPOSITORY, _FILE, "--local-dir", home / "files"]
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    shutil.rmtree(home)
    return seconds


def _peak_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


if __name__ == "__main__":
    raise SystemExit(main())
