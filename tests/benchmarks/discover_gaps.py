"""Gaps of the window's event loop on the Discover page: 500 results scrolled while four downloads run.

    python -m tests.benchmarks.discover_gaps

The same beats and controls as in `gaps`: a process that only sleeps, and the window's own CPU between two beats.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PySide6.QtWidgets import QApplication

from app.hub.plan import make_plan
from app.hub.repository import open_repository
from app.hub.transport import Hub
from app.settings import Theme
from app.system.paths import Paths
from tests.benchmarks import pairs
from tests.benchmarks.gaps import Heartbeat, _scroll, _sleeper, spend, until
from ui.look.theme import ThemeWatcher
from ui.navigation import Page
from ui.program import Program
from workers.downloads import DownloadState

_PORT = 8387
_RESULTS = 500


def main() -> int:
    options = pairs.parser(__doc__, pairs=1).parse_args()
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as name, _sleeper() as sleeps:
        folder = Path(name)
        for number in range(4):
            path = folder / "hub" / "bench" / f"model{number}" / "m-Q4_0.gguf"
            path.parent.mkdir(parents=True)
            path.write_bytes(os.urandom(1_000_000) * 1500)
        command = [sys.executable, "-m", "tests.hub_server", str(folder / "hub"), "--port", str(_PORT)]
        server = subprocess.Popen([*command, "--repositories", "600"], stdout=subprocess.PIPE)
        assert server.stdout is not None
        server.stdout.readline()
        os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{_PORT}"
        try:
            phases = _measure(Paths(folder / "home").ensure())
        finally:
            server.terminate()
            server.wait()
    late = sleeps()
    for phase in phases:
        phase.sleeper = [ms for at, ms in late if phase.start <= at <= phase.end]
    return pairs.show([figure for phase in phases for figure in phase.figures()], before, options.json)


def _measure(paths: Paths):
    application = QApplication.instance() or QApplication([])
    program = Program(paths, ThemeWatcher(application, Theme.SYSTEM))  # type: ignore[arg-type]
    program.settings.update(downloads_at_once=4)
    program.window.show()
    spend(1)
    hub, page = program.hub, program.discover_page
    program.window.show_page(Page.DISCOVER)
    until(lambda: hub.speed.speed is not None)
    plans = [_plan(hub.endpoint, number, paths) for number in range(4)]
    beat = Heartbeat()
    with beat.phase(f"{_RESULTS} results arrive"):
        page.search.field.setText("made-up")
        page.search.confirmed.emit()
        while len(page.search.results.rows) < _RESULTS:
            spend(0.02)
            hub.browser.more()
    with beat.phase("four downloads begin"):
        for plan in plans:
            hub.downloads.add(plan)
        until(lambda: sum(status.done_share > 0 for status in hub.downloads.statuses) == 4)
    with beat.phase("scrolling the results meanwhile"):
        _scroll(page.search.list, 6)
    running = sum(status.state is DownloadState.RUNNING for status in hub.downloads.statuses)
    pairs.say(f"{running} downloads were running at the end")
    program.end()
    return beat.phases


def _plan(endpoint: str, number: int, paths: Paths):
    repository = open_repository(Hub(endpoint), f"bench/model{number}")
    return make_plan(endpoint, repository, repository.models[0], paths.models)


if __name__ == "__main__":
    raise SystemExit(main())
