"""Puts the tokens into force as palette, style sheet, font and icons, and follows the system live.

Widgets say what they are through the property "role" (see `style_sheet` for the words); `tokens` is the table.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from app.settings import Theme
from app.system.paths import RESOURCES
from ui.look.icons import recolour_all
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
    """It is emitted after the new tokens, palette, style sheet and icons are in force."""

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


# The one style sheet, made from the tokens. Its words (property "role", set once, before the widget is shown):
#
# QPushButton   "primary" the one thing to do next | "quiet" no edge | "danger" deletes | "disclosure" opens more below
#               none: a plain button
# QToolButton   "icon" only an icon | "rail" icon and word in the rail
# QLabel        "title" 16 | "figure" 28 | "caption" 11, secondary | "secondary" 13, secondary | "strong" 13, semibold
# QWidget       "side" rail and panel | "page" | "bar" with "tone" "danger"/"warning"/"notice" | "card" a raised surface
# QFrame        "hairline" one pixel that separates
# QLineEdit     "search" | QLabel, QTextBrowser "mono" the fixed font | QListView "plain" without an edge


def style_sheet(t: Tokens) -> str:
    """Qt style sheet text for the table `t`."""
    return "\n".join((_surfaces(t), _labels(t), _buttons(t), _fields(t), _lists(t), _bits(t)))


def _surfaces(t: Tokens) -> str:
    bars = "\n".join(
        f'QWidget[role="bar"][tone="{tone}"] {{ background: {surface}; border: none; border-radius: {t.radius}px; }}'
        for tone, surface in (
            ("danger", t.danger_surface),
            ("warning", t.warning_surface),
            ("notice", t.notice_surface),
        )
    )
    return f"""
QMainWindow, QDialog, QWidget[role="page"] {{ background: {t.page}; color: {t.text}; }}
QWidget[role="side"] {{ background: {t.side}; color: {t.text}; }}
QWidget[role="card"] {{ background: {t.raised}; border-radius: {t.radius}px; }}
QFrame[role="hairline"] {{ background: {t.hairline}; border: none; }}
QSplitter::handle {{ background: {t.hairline}; }}
QSplitter::handle:horizontal {{ width: 1px; }}
QSplitter::handle:vertical {{ height: 1px; }}
{bars}
"""


def _labels(t: Tokens) -> str:
    return f"""
QLabel {{ background: transparent; color: {t.text}; }}
QLabel[role="title"] {{ font-size: {t.size_title}px; font-weight: 600; }}
QLabel[role="figure"] {{ font-size: {t.size_figure}px; font-weight: 600; }}
QLabel[role="no figure"] {{ font-size: {t.size_figure}px; color: {t.outline}; }}
QLabel[role="strong"] {{ font-weight: 600; }}
QLabel[role="caption"] {{ font-size: {t.size_caption}px; color: {t.text_secondary}; }}
QLabel[role="secondary"] {{ color: {t.text_secondary}; }}
QLabel[role="danger"] {{ color: {t.danger}; }}
QLabel[role="warning"] {{ color: {t.warning}; }}
QLabel[role="success"] {{ color: {t.success}; }}
QFrame#model_popup {{ background: {t.page}; border: 1px solid {t.outline}; }}
QToolTip {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.hairline}; padding: 4px 6px; }}
"""


def _buttons(t: Tokens) -> str:
    ring = f"border: 2px solid {t.accent};"
    return f"""
QPushButton {{ background: {t.page}; color: {t.text}; border: 1px solid {t.outline}; border-radius: {t.radius}px;
    padding: 0 12px; min-height: 28px; }}
QPushButton:hover {{ background: {t.hover}; }}
QPushButton:pressed, QPushButton:checked {{ background: {t.pressed}; }}
QPushButton:focus {{ {ring} padding: 0 11px; min-height: 26px; }}
QPushButton:disabled {{ color: {t.outline}; border-color: {t.hairline}; }}
QPushButton[role="primary"] {{ background: {t.accent}; color: {t.on_accent}; border: 1px solid {t.accent};
    font-weight: 600; }}
QPushButton[role="primary"]:hover, QPushButton[role="primary"]:pressed {{ background: {t.accent_hover};
    border-color: {t.accent_hover}; }}
QPushButton[role="primary"]:focus {{ border: 2px solid {t.text}; }}
QPushButton[role="primary"]:disabled {{ background: {t.hover}; color: {t.outline}; border-color: {t.hover}; }}
QPushButton[role="danger"] {{ color: {t.danger}; border-color: {t.danger}; }}
QPushButton[role="danger"]:hover {{ background: {t.danger_surface}; }}
QPushButton[role="danger"]:focus {{ border: 2px solid {t.danger}; }}
QPushButton[role="danger"]:disabled {{ color: {t.outline}; border-color: {t.hairline}; }}
QPushButton[role="quiet"] {{ background: transparent; border: 1px solid transparent; padding: 0 8px; }}
QPushButton[role="quiet"]:hover {{ background: {t.hover}; }}
QPushButton[role="quiet"]:checked {{ background: {t.selected}; }}
QPushButton[role="quiet"]:focus {{ {ring} padding: 0 7px; }}
QPushButton[role="disclosure"] {{ background: transparent; border: 1px solid transparent; padding: 0 8px; }}
QPushButton[role="disclosure"]:hover {{ background: {t.hover}; }}
QPushButton[role="disclosure"]:focus {{ {ring} padding: 0 7px; }}
QToolButton {{ background: transparent; color: {t.text}; border: 2px solid transparent; border-radius: {t.radius}px;
    padding: 3px; }}
QToolButton:hover {{ background: {t.hover}; }}
QToolButton:pressed, QToolButton:checked {{ background: {t.pressed}; }}
QToolButton:focus {{ {ring} }}
QToolButton:disabled {{ color: {t.outline}; }}
QToolButton::menu-indicator, QPushButton::menu-indicator {{ image: none; width: 0; }}
QToolButton[role="rail"] {{ padding: 4px 2px; font-size: {t.size_caption}px; color: {t.text_secondary}; }}
QToolButton[role="rail"]:checked {{ background: {t.selected}; color: {t.text}; font-weight: 600; }}
"""


def _fields(t: Tokens) -> str:
    kinds = "QLineEdit, QPlainTextEdit, QSpinBox, QDoubleSpinBox, QComboBox"
    focused = ", ".join(f"{kind.strip()}:focus" for kind in kinds.split(","))
    arrow = _arrow("arrow-field-down")
    return f"""
{kinds} {{ background: {t.page}; color: {t.text}; border: 1px solid {t.outline}; border-radius: {t.radius}px;
    padding: 1px 7px; min-height: 26px; selection-background-color: {t.accent}; selection-color: {t.on_accent}; }}
{focused} {{ border: 2px solid {t.accent}; padding: 0 6px; }}
QPlainTextEdit[role="code"], QPlainTextEdit[role="code"]:focus {{ background: transparent; border: none; padding: 0;
    min-height: 0; border-radius: 0; }}
QPlainTextEdit[role="code"] QScrollBar::handle {{ border-color: {t.raised}; }}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled {{ color: {t.outline};
    border-color: {t.hairline}; }}
QSpinBox, QDoubleSpinBox {{ min-height: 23px; }}
QAbstractSpinBox QLineEdit {{ border: none; padding: 0; min-height: 0; background: transparent; }}
QListWidget[role="field"] {{ border: 1px solid {t.outline}; border-radius: {t.radius}px; padding: 2px; }}
QListWidget[role="field"]:focus {{ border: 2px solid {t.accent}; padding: 1px; }}
QComboBox {{ combobox-popup: 0; }}
QComboBox::drop-down {{ border: none; width: 24px; }}
QComboBox::down-arrow {{ image: url("{arrow}"); width: 14px; height: 14px; }}
QComboBox QAbstractItemView {{ background: {t.page}; color: {t.text}; border: 1px solid {t.outline}; outline: none;
    selection-background-color: {t.selected}; selection-color: {t.text}; padding: 4px; }}
QSpinBox::up-button, QDoubleSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::down-button {{ border: none;
    width: 20px; background: transparent; }}
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow {{ image: url("{_arrow("arrow-field-up")}"); width: 12px; height: 12px; }}
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow {{ image: url("{arrow}"); width: 12px; height: 12px; }}
"""


def _lists(t: Tokens) -> str:
    return f"""
QAbstractItemView {{ background: {t.page}; color: {t.text}; border: none; outline: none;
    selection-background-color: {t.selected}; selection-color: {t.text}; }}
QListView[role="side"], QTreeView[role="side"] {{ background: {t.side}; }}
QHeaderView {{ background: {t.page}; border: none; }}
QHeaderView::section {{ background: {t.page}; color: {t.text_secondary}; font-size: {t.size_caption}px; border: none;
    border-bottom: 1px solid {t.hairline}; padding: 4px 8px; }}
QScrollArea, QScrollArea > QWidget > QWidget {{ background: transparent; border: none; }}
QScrollBar:vertical {{ background: transparent; width: 12px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 12px; margin: 0; }}
QScrollBar::handle {{ background: {t.outline}; border: 3px solid {t.page}; border-radius: 6px; min-height: 32px;
    min-width: 32px; }}
QScrollBar::handle:hover {{ background: {t.text_secondary}; }}
QScrollBar::handle:disabled {{ background: transparent; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
"""


def _bits(t: Tokens) -> str:
    return f"""
QProgressBar {{ background: {t.hover}; border: none; border-radius: 2px; max-height: 4px; min-height: 4px; }}
QProgressBar::chunk {{ background: {t.accent}; border-radius: 2px; }}
QMenu {{ background: {t.page}; color: {t.text}; border: 1px solid {t.outline}; padding: 4px; }}
QMenu::item {{ padding: 5px 24px 5px 12px; border-radius: 4px; }}
QMenu::item:selected {{ background: {t.selected}; }}
QMenu::item:disabled {{ color: {t.outline}; }}
QMenu::separator {{ height: 1px; background: {t.hairline}; margin: 4px 8px; }}
QCheckBox {{ spacing: 8px; background: transparent; color: {t.text}; padding: 2px; border: 2px solid transparent;
    border-radius: 4px; }}
QCheckBox:focus {{ border-color: {t.accent}; }}
QCheckBox::indicator, QTreeWidget::indicator {{ width: 14px; height: 14px; border: 1px solid {t.outline};
    border-radius: 3px; background: {t.page}; }}
QCheckBox::indicator:checked, QTreeWidget::indicator:checked {{ image: url("{_arrow("check-field")}"); }}
QCheckBox::indicator:disabled {{ border-color: {t.hairline}; }}
QCheckBox:disabled {{ color: {t.outline}; }}
"""


def _arrow(name: str) -> str:
    """A style sheet cannot colour an SVG, so the arrows have a grey that is 3:1 on both pages."""
    return (RESOURCES / "icons" / f"{name}.svg").as_posix()
