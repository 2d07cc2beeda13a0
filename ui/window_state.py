"""Where the window stood: one small file in the data folder, so that BANTAM_HOME moves it too."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from app.files import read_json, write_atomic


@dataclass(frozen=True, slots=True)
class WindowState:
    """`geometry` is Qt's own (`QWidget.saveGeometry`), in base64; "" means: as the program likes."""

    geometry: str = ""

    @classmethod
    def of_geometry(cls, geometry: bytes) -> WindowState:
        return cls(base64.b64encode(geometry).decode("ascii"))

    def geometry_bytes(self) -> bytes:
        """For `QWidget.restoreGeometry`; empty where there is none or it is damaged."""
        try:
            return base64.b64decode(self.geometry, validate=True)
        except (ValueError, binascii.Error):
            return b""


def load_window_state(path: Path) -> WindowState:
    """A missing or damaged file is the default: nothing of value is in it."""
    try:
        return WindowState(str(read_json(path)["geometry"]))
    except (OSError, ValueError, KeyError, TypeError):
        return WindowState()


def save_window_state(path: Path, state: WindowState) -> None:
    """Written at the end, when a full disk is no longer worth a message."""
    with contextlib.suppress(OSError):
        write_atomic(path, json.dumps(asdict(state)).encode())
