"""Why no window can be opened, in a sentence: known before, or picked from what Qt says."""

from __future__ import annotations

import pytest

from ui.startup.application import display_problem, fatal_sentence

NO_PLUGIN = "This application failed to start because no Qt platform plugin could be initialized.\n\nAvailable: xcb."


@pytest.mark.parametrize("name", ["DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"])
def test_with_a_display_qt_is_asked(name: str) -> None:
    assert display_problem({name: ":0"}, "linux") == ""
    assert "no display" in display_problem({name: ""}, "linux")
    assert display_problem({}, "darwin") == display_problem({}, "win32") == ""


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        (("qt.qpa.xcb: could not connect to display :77", NO_PLUGIN), "the display :77 does not answer"),
        (("could not connect to display", NO_PLUGIN), "the display does not answer"),
        (("From 6.5.0, libxcb-cursor0 is needed to load the Qt xcb platform plugin.", NO_PLUGIN), "libxcb-cursor0"),
        ((NO_PLUGIN,), "no Qt platform plugin could be initialized"),
    ],
)
def test_the_reason_is_picked(messages: tuple[str, ...], sentence: str) -> None:
    told = fatal_sentence(messages)
    assert sentence in told
    assert "\n" not in told
    assert told.count(".") == 1
