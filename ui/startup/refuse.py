"""A start that cannot go on says why, in a dialog and on stderr."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtWidgets import QMessageBox

from app.system.paths import default_paths
from ui.startup.single_instance import Claim
from workers.protocol import Failure


def refuse(sentence: str, hint: str) -> int:
    """Say why there is no window; returns the exit code."""
    print(f"{sentence} {hint}".strip(), file=sys.stderr)
    box = QMessageBox(QMessageBox.Icon.Critical, "Bantam", sentence)
    box.setInformativeText(hint)
    box.exec()
    return 1


def leave_to_other(claim: Claim, home: Path) -> int:
    """This start is not the first on the data folder: the exit code, and why where no window answered."""
    if claim is Claim.RAISED_OTHER:
        return 0
    if claim is Claim.OTHER_IS_SILENT:
        return refuse("Bantam is already running, but its window does not answer.", "End that one, then start again.")
    hint = "Free some space on its disk, and see that window.lock in it is yours, then start again."
    return refuse(f"Bantam cannot lock its data folder {home}.", hint)


def tell_failed_start(failure: Failure) -> None:
    """A fault before there is a window."""
    refuse(failure.sentence, f"{failure.hint} The details are in the folder {default_paths().logs}.")
