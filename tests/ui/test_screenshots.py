"""The script that draws the pictures of the README draws them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PySide6.QtGui import QImage

SCRIPT = Path(__file__).parents[1] / "screenshots.py"


def test_scene_is_drawn_in_both_themes(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path), "models_broken", "--size", "1000x640"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    light, dark = (QImage(str(tmp_path / f"models_broken-{theme}.png")) for theme in ("light", "dark"))
    assert (light.width(), light.height()) == (dark.width(), dark.height()) == (1000, 640)
    assert light.pixelColor(500, 620).lightness() > 200 > 80 > dark.pixelColor(500, 620).lightness()


def test_unknown_scene_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path), "nothing like it"]
    assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 2
