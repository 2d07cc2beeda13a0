"""The file that `--debug` writes: what the processes of Bantam ask of each other, and nothing that the user wrote.

It follows what "Copy diagnostics" promises, so that it can be handed on as it is: no chat, no token, no name of a file
or folder. Those who log write types, numbers and states; of an exception only where it happened is kept.
"""

from __future__ import annotations

import copy
import logging
import os
import sys
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from app.diagnostics.report import safe_lines
from app.system.files import locked
from app.system.paths import Paths

LOGGERS = ("app", "workers", "ui")
"""Bantam's own. Not the root: httpx2 would write addresses and headers, a token among them."""

MOST_BYTES = 1_000_000
"""The size of one file; the one before is kept beside it as `.1`."""


def open_debug_log(paths: Paths) -> logging.Handler:
    """Write what Bantam's loggers say to the debug log from now on, until it is closed."""
    log = _SharedFile(paths.debug_log)
    for logger in map(logging.getLogger, LOGGERS):
        logger.setLevel(logging.DEBUG)
        logger.addHandler(log)
    return log


class _SharedFile(RotatingFileHandler):
    """A rotating file of several processes: it is locked, opened and closed for each record. Only the user may read it.

    A process that kept it open would go on writing to the old file after another one has rotated it.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file, maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8", delay=True)
        self._file = file
        self.setFormatter(_WhereOnly("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Where the disk takes none, the program goes on without."""
        try:
            with locked(self._file):
                super().emit(record)
                self._close_file()
        except OSError:
            self._close_file()

    def close(self) -> None:
        """Let the loggers be silent again."""
        for logger in map(logging.getLogger, LOGGERS):
            logger.setLevel(logging.NOTSET)
            logger.removeHandler(self)
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A full disk is no reason to write on stderr."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8")

    def _close_file(self) -> None:
        if self.stream is not None:
            self.stream.close()
            self.stream = None


class _WhereOnly(logging.Formatter):
    """Keeps of an exception where it happened: its message may hold anything, a chat or the name of a file."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record as logging does it, on a copy: other handlers would get the shortened text, or leave
        theirs for this one.
        """
        record = copy.copy(record)
        record.__dict__.update(exc_text=None, stack_info=None)
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(safe_lines(super().formatException(ei).splitlines()))
