"""The window's log: what nobody caught. logging.handlers would turn the file over too, and cost the start 10 ms."""

from __future__ import annotations

import logging
from pathlib import Path

_MOST_BYTES = 500_000


def open_log(file: Path) -> logging.FileHandler:
    """Write to this file from now on; what is too long already is kept as `.old`."""
    if file.exists() and file.stat().st_size > _MOST_BYTES:
        file.replace(file.with_name(f"{file.name}.old"))
    log = logging.FileHandler(file, delay=True, encoding="utf-8")
    log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(log)
    return log
