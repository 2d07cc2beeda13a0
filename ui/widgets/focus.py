"""Where the keyboard's focus goes when the widget that has it goes away: to the place around it, which does nothing."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget


def stay_around(window: QWidget) -> bool:
    """Call first in `window.focusNextPrevChild`; True where that is all.

    Qt calls that for Tab, and also when a button is hidden or disabled by its own click: the next widget in the chain
    may be the one that cancels what was begun, and a second Space would press it.
    """
    leaving = window.focusWidget()
    if leaving is None or leaving is window or (leaving.isVisible() and leaving.isEnabled()):
        return False
    place = leaving.parentWidget()
    while place is not None and place is not window and not (place.isVisible() and place.isEnabled()):
        place = place.parentWidget()
    (place or window).setFocus()
    return True
