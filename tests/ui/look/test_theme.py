"""The contrast of the tokens, and the theme in force."""

from __future__ import annotations

from dataclasses import fields

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication
from PySide6.QtWidgets import QApplication, QPushButton

from app.settings import Theme
from ui.look import icons
from ui.look.theme import DARK, LIGHT, ThemeWatcher, Tokens, style_sheet, text_font, tokens

TEXT = ("text", "text_secondary", "accent", "danger", "warning", "success")
SURFACES = ("page", "side", "raised")
CODE = ("code_keyword", "code_string", "code_comment", "code_number", "code_function", "text")
PAIRS = (
    *((text, surface) for text in TEXT for surface in SURFACES),
    *((code, "raised") for code in CODE),
    *(("text", surface) for surface in ("hover", "pressed", "selected")),
    *(("text_secondary", surface) for surface in ("hover", "selected")),
    *(("text", f"{tone}_surface") for tone in ("danger", "warning", "notice")),
    *(("text_secondary", f"{tone}_surface") for tone in ("danger", "warning", "notice")),
    ("danger", "danger_surface"), ("warning", "warning_surface"), ("accent", "notice_surface"),
    ("on_accent", "accent"), ("on_accent", "accent_hover"), ("on_danger", "danger"),
)  # fmt: skip
GRAPHICS = ("outline", "memory_weights", "memory_kv", "memory_buffers", "memory_rest", "memory_others", "accent")


def contrast(first: str, second: str) -> float:
    """WCAG 2.2 contrast ratio of two colours, 1 to 21."""
    light, dark = sorted((_luminance(QColor(first)), _luminance(QColor(second))), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: QColor) -> float:
    channels = (value / 255 for value in (colour.red(), colour.green(), colour.blue()))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_the_one_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("table", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read(table: Tokens) -> None:
    weak = {f"{a} on {b}": round(contrast(getattr(table, a), getattr(table, b)), 2) for a, b in PAIRS}
    assert not {pair: ratio for pair, ratio in weak.items() if ratio < 4.5}


@pytest.mark.parametrize("table", [LIGHT, DARK], ids=["light", "dark"])
def test_edges_and_pictures_can_be_seen(table: Tokens) -> None:
    weak = {(a, b): contrast(getattr(table, a), getattr(table, b)) for a in GRAPHICS for b in ("page", "side")}
    assert not {pair: ratio for pair, ratio in weak.items() if ratio < 3.0}


def test_every_colour_is_a_colour() -> None:
    names = [field.name for field in fields(Tokens) if str(getattr(LIGHT, field.name)).startswith("#")]
    assert all(QColor(getattr(table, name)).isValid() for table in (LIGHT, DARK) for name in names)


def test_choice_overrides_the_system(theme: ThemeWatcher, qtbot) -> None:
    with qtbot.waitSignal(theme.changed):
        theme.choose(Theme.DARK)
    assert tokens() is DARK
    assert QApplication.palette().window().color() == QColor(DARK.page)
    theme.choose(Theme.LIGHT)
    assert tokens() is LIGHT


def test_follows_the_system_live(theme: ThemeWatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    theme.choose(Theme.SYSTEM)
    _system_becomes(Qt.ColorScheme.Dark, monkeypatch)
    assert tokens() is DARK
    _system_becomes(Qt.ColorScheme.Light, monkeypatch)
    assert tokens() is LIGHT


def test_own_choice_stays_when_the_system_changes(theme: ThemeWatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    theme.choose(Theme.LIGHT)
    _system_becomes(Qt.ColorScheme.Dark, monkeypatch)
    assert tokens() is LIGHT


def test_icons_take_the_colour_of_the_theme(theme: ThemeWatcher, qtbot) -> None:
    button = QPushButton()
    qtbot.addWidget(button)
    theme.choose(Theme.LIGHT)
    icons.set_icon(button, "send")
    assert _darkest(button) < 80
    theme.choose(Theme.DARK)
    assert _darkest(button) > 150


def test_digits_have_one_width_where_asked(theme: ThemeWatcher) -> None:
    assert text_font(tabular=True).featureTags()
    assert not text_font().featureTags()


def _darkest(button: QPushButton) -> int:
    image = button.icon().pixmap(18, 18).toImage()
    pixels = [image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height())]
    return min(pixel.lightness() for pixel in pixels if pixel.alpha() > 200)


def _system_becomes(scheme: Qt.ColorScheme, monkeypatch: pytest.MonkeyPatch) -> None:
    # The offscreen platform has no scheme of its own to change.
    monkeypatch.setattr("ui.look.theme.system_is_dark", lambda: scheme is Qt.ColorScheme.Dark)
    QGuiApplication.styleHints().colorSchemeChanged.emit(scheme)


def test_the_program_may_lie_in_a_folder_of_any_name(theme: ThemeWatcher, qapp, qtlog, monkeypatch, tmp_path) -> None:
    def complaints(sheet: str) -> list[str]:
        qapp.setStyleSheet(sheet)
        QPushButton().ensurePolished()
        return [record.message for record in qtlog.records if "parse" in record.message]

    monkeypatch.setattr("ui.look.theme.RESOURCES", tmp_path / "Büro (alt) 1")
    sheet = style_sheet(LIGHT)
    assert complaints(sheet) == []
    assert complaints(sheet.replace('url("', "url(").replace('")', ")"))  # it would be seen
