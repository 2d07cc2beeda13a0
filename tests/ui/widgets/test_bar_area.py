"""The area takes room only while a bar is shown."""

from __future__ import annotations

from ui.errors import BarArea, ErrorBar, NoticeBar
from workers.protocol import Failure


def test_takes_room_only_while_a_bar_is_shown(qtbot) -> None:
    error, notice = ErrorBar(), NoticeBar()
    area = BarArea(error, notice)
    qtbot.addWidget(area)
    assert area.isHidden()
    error.show_failure(Failure("Failed."))
    notice.show_notice("Look.")
    assert not area.isHidden()
    error.dismiss()
    assert not area.isHidden()
    notice.dismiss()
    assert area.isHidden()
