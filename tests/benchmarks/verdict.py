"""What the verdict on a remote 4-bit 8B-shaped GGUF costs: bytes over the network, and time after the last of them.

    python -m tests.benchmarks.verdict [--pairs 7]

From the local hub, with the header of Llama 3 8B's size (128,256 tokens, 280,147 merges) and a warm child, as the
Discover page does it. Beside it the time for the whole curve, by which the slider moves.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtWidgets import QApplication

from app.hub.remote import RemoteBeginning
from app.hub.repository import open_repository
from app.hub.transport import Hub
from app.system.paths import Paths
from tests.app.hub.gguf_headers import llama_8b
from tests.benchmarks import pairs
from tests.benchmarks.gaps import spend, until
from tests.benchmarks.pairs import Figure, Goal
from tests.hub_server import HubServer
from workers.fits import Fits
from workers.tasks import TaskRunner


def main() -> int:
    options = pairs.parser(__doc__, pairs=7).parse_args()
    before = pairs.machine()
    application = QApplication.instance() or QApplication([])
    keep, arrived = RemoteBeginning._keep, [0.0]

    def noted(beginning: RemoteBeginning, data: bytes) -> None:
        keep(beginning, data)
        arrived[0] = time.perf_counter()

    RemoteBeginning._keep = noted  # type: ignore[method-assign]
    traffic, first, whole = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        llama_8b(folder / "hub" / "big" / "llama" / "llama-8B-Q4_0.gguf")
        (folder / "hub" / "big" / "llama" / ".hub.json").write_text('{"quick_hash": true}')
        with HubServer(folder / "hub") as hub:
            paths, tasks = Paths(folder / "home").ensure(), TaskRunner()
            fits = Fits(paths, tasks, lambda: Hub(hub.endpoint))
            times: list[float] = []
            fits.judged.connect(lambda *_: times.append(time.perf_counter()))
            repository = open_repository(Hub(hub.endpoint), "big/llama")
            fits.warm_up()
            spend(1)
            for _ in range(options.pairs):
                pairs.wait_for_quiet()
                times.clear()
                sent = hub.bytes_sent
                fits.judge_all(repository)
                until(lambda: len(times) == 2)
                traffic.append((hub.bytes_sent - sent) / 1e6)
                first.append(times[0] - arrived[0])
                whole.append(times[1] - arrived[0])
                shutil.rmtree(paths.headers / "big")
            fits.close()
            tasks.close()
    del application
    figures = [
        Figure("traffic for the verdict", tuple(traffic), "MB", goal=Goal(12)),
        Figure("verdict after the last byte", tuple(first), "s", goal=Goal(0.3)),
        Figure("whole curve after the last byte", tuple(whole), "s"),
    ]
    return pairs.show(figures, before, options.json)


if __name__ == "__main__":
    raise SystemExit(main())
