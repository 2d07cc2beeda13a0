"""The real child and engine, except that a load lasts until it is stopped: it waits inside llama.cpp's callback."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from app.engine import session
from app.engine.llama import Model
from workers import child


class SlowModel(Model):
    def __init__(self, path, options, on_progress: Callable[[float], bool]) -> None:
        def wait_until_stopped(share: float) -> bool:
            while on_progress(share):
                threading.Event().wait(0.005)
            return False

        super().__init__(path, options, wait_until_stopped)


if __name__ == "__main__":
    session.Model = SlowModel
    sys.exit(child.main())
