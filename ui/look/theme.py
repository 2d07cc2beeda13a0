"""Puts the tokens into force as palette, style sheet, font and icons, and follows the system live.

Widgets say what they are through the property "role" (see `style_sheet` for the words); `tokens` is the table.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from app.settings import Theme
from ui.look.icons import recolour_all
from ui.look.style_sheet import style_sheet
from ui.look.tokens import DARK, LIGHT, Tokens, tokens, use

__all__ = ["DARK", "LIGHT", "ThemeWatcher", "Tokens", "color", "palette", "system_is_dark", "text_font", "tokens"]


def color(name: str) -> QColor:
    """The colour token of that name, as it is now."""
    return QColor(getattr(tokens(), name))


def text_font(size: int | None = None, *, strong: bool = False, tabular: bool = False) -> QFont:
    """The system's font at a size of the table. `tabular` gives every digit the same width, so numbers do not jump."""
    font = QFont(QApplication.font())
    font.setPixelSize(size or tokens().size_text)
    if strong:
        font.setWeight(QFont.Weight.DemiBold)
    if tabular:
        font.setFeature(QFont.Tag("tnum"), 1)
    return font


class ThemeWatcher(QObject):
    """Applies the user's choice to the application and follows the system while the choice is "system"."""

    changed = Signal()
    """After the new tokens, palette, style sheet and icons are in force."""

    def __init__(self, application: QApplication, choice: Theme = Theme.SYSTEM, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._application = application
        self._choice = choice
        application.setStyle("Fusion")
        font = application.font()
        font.setPixelSize(LIGHT.size_text)
        application.setFont(font)
        application.styleHints().colorSchemeChanged.connect(self._on_color_scheme_changed)
        self._put_into_force()

    def choose(self, choice: Theme) -> None:
        """Light, dark, or as the system is."""
        if choice is not self._choice:
            self._choice = choice
            self._put_into_force()

    def _put_into_force(self) -> None:
        scheme = {Theme.LIGHT: Qt.ColorScheme.Light, Theme.DARK: Qt.ColorScheme.Dark}.get(self._choice)
        hints = self._application.styleHints()
        hints.unsetColorScheme() if scheme is None else hints.setColorScheme(scheme)
        self._apply()

    def _on_color_scheme_changed(self) -> None:
        if self._choice is Theme.SYSTEM:
            self._apply()

    def _apply(self) -> None:
        dark = self._choice is Theme.DARK or (self._choice is Theme.SYSTEM and system_is_dark())
        table = DARK if dark else LIGHT
        use(table)
        self._application.setPalette(palette(table))
        self._application.setStyleSheet(style_sheet(table))
        recolour_all()
        self.changed.emit()


def system_is_dark() -> bool:
    """What the desktop says; a desktop that says nothing is light."""
    return QGuiApplication.styleHints().colorScheme() is Qt.ColorScheme.Dark


def palette(table: Tokens) -> QPalette:
    """The palette for what the style sheet does not reach: selections, links, tool tips, native bits of Fusion."""
    result = QPalette()
    roles = QPalette.ColorRole
    for role, value in (
        (roles.Window, table.page), (roles.WindowText, table.text), (roles.Base, table.page),
        (roles.AlternateBase, table.raised), (roles.Text, table.text), (roles.Button, table.raised),
        (roles.ButtonText, table.text), (roles.BrightText, table.danger), (roles.Highlight, table.accent),
        (roles.HighlightedText, table.on_accent), (roles.Link, table.accent), (roles.LinkVisited, table.accent),
        (roles.ToolTipBase, table.raised), (roles.ToolTipText, table.text),
        (roles.PlaceholderText, table.text_secondary), (roles.Mid, table.hairline), (roles.Dark, table.outline),
        (roles.Light, table.raised), (roles.Midlight, table.hover), (roles.Accent, table.accent),
    ):  # fmt: skip
        result.setColor(role, QColor(value))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(table.outline))
    return result
