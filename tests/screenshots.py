"""Draws the real window with sample data, every page and state: `python tests/screenshots.py FOLDER [NAME…]`.

Offscreen, no model is loaded: a fake engine plays the answers. Names choose scenes (`models*`: all of the models page),
`--scale 2` is for a screen of 200 %. The README's pictures are taken by `readme_pictures.py`, with a real model.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Parse, prepare the environment, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("scenes", nargs="*")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--size", default="1280x720")
    arguments = parser.parse_intermixed_args()
    sys.path.insert(0, str(ROOT))
    # Qt reads these when it loads
    os.environ.update(QT_QPA_PLATFORM="offscreen", QT_SCALE_FACTOR=str(arguments.scale))
    return draw(arguments.folder, arguments.scenes, arguments.size)


def draw(folder: Path, wanted: list[str], size: str) -> int:
    """Every wanted scene in light and dark; returns the exit code."""
    from PySide6.QtWidgets import QApplication

    from app.settings import Theme
    from tests.ui.scenes import SCENES, Stage
    from tests.ui.scenes_discover import DISCOVER_SCENES
    from tests.ui.scenes_drafts import DRAFT_SCENES
    from tests.ui.scenes_first_run import FIRST_RUN_SCENES
    from tests.ui.scenes_inside import INSIDE_SCENES
    from tests.ui.scenes_ledger import LEDGER_SCENES
    from tests.ui.scenes_recipe import RECIPE_SCENES
    from tests.ui.scenes_smaller import SMALLER_SCENES
    from ui.look.theme import ThemeWatcher

    application = QApplication(["bantam"])
    folder.mkdir(parents=True, exist_ok=True)
    scenes = (*SCENES, *DISCOVER_SCENES, *LEDGER_SCENES, *SMALLER_SCENES, *DRAFT_SCENES)
    scenes += (*RECIPE_SCENES, *INSIDE_SCENES, *FIRST_RUN_SCENES)
    chosen = [scene for scene in scenes if not wanted or any(fnmatch(scene.__name__, name) for name in wanted)]
    width, height = (int(number) for number in size.split("x"))
    watcher = ThemeWatcher(application, Theme.LIGHT)
    for scene in chosen:
        for theme in (Theme.LIGHT, Theme.DARK):
            watcher.choose(theme)
            with tempfile.TemporaryDirectory() as home:
                stage = Stage(watcher, theme, Path(home), width, height)
                _save(scene, stage, folder / f"{scene.__name__}-{theme.value}.png")
    return 0 if chosen else 2


def _save(scene: Callable[..., Any], stage: Any, file: Path) -> None:
    try:
        target = scene(stage)
        stage.settle()
        picture = (target or stage.window).grab()
        picture.save(str(file))
        print(f"{file.name}  {picture.width()}x{picture.height()}")
    finally:
        stage.close()


if __name__ == "__main__":
    sys.exit(main())
