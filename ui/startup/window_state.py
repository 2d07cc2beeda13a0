"""Where the window stood and what it showed: one small file in the data folder, so that BANTAM_HOME moves it too."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.system.files import read_json, write_atomic


@dataclass(frozen=True, slots=True)
class WindowState:
    """`geometry` is Qt's own (`QWidget.saveGeometry`), in base64; "" means: as the program likes."""

    geometry: str = ""
    page: int = 0
    conversation: str = ""
    """Id of the chat that was open; "" for a new one."""

    @classmethod
    def of_geometry(cls, geometry: bytes, page: int = 0, conversation: str = "") -> WindowState:
        return cls(base64.b64encode(geometry).decode("ascii"), page, conversation)

    def geometry_bytes(self) -> bytes:
        """For `QWidget.restoreGeometry`; empty where there is none or it is damaged."""
        try:
            return base64.b64decode(self.geometry, validate=True)
        except (ValueError, binascii.Error):
            return b""


def load_window_state(path: Path) -> WindowState:
    """A missing or damaged file is the default, field by field: nothing of value is in it."""
    try:
        data: Any = read_json(path)
        page, conversation = data.get("page", 0), data.get("conversation", "")
        return WindowState(
            str(data.get("geometry", "")),
            page if isinstance(page, int) and page >= 0 else 0,
            conversation if isinstance(conversation, str) else "",
        )
    except (OSError, ValueError, AttributeError):
        return WindowState()


def save_window_state(path: Path, state: WindowState) -> None:
    """Written at the end, when a full disk is no longer worth a message."""
    with contextlib.suppress(OSError):
        write_atomic(path, json.dumps(asdict(state)).encode())
