"""Icons: Lucide's SVGs from resources/icons, drawn in a colour of the theme and drawn again when the theme changes.

`set_icon(button, "send")` is all a widget needs: the name stays on it as a property for `recolour_all`.
"""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt
from PySide6.QtGui import QAction, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel

from app.system.paths import RESOURCES
from ui.look.tokens import tokens

ICON_SIZE = 18
_SCALES = (1.0, 2.0)


def icon(name: str, tone: str = "text", size: int = ICON_SIZE) -> QIcon:
    """The icon `name` in the colour token `tone`, as the theme is now. Raises FileNotFoundError for an unknown name."""
    table = tokens()
    return _icon(name, getattr(table, tone), table.outline, size)


def pixmap(name: str, tone: str = "text", size: int = ICON_SIZE, scale: float = 1.0) -> QPixmap:
    """One picture of `size` logical pixels for a screen of `scale`."""
    return _pixmap(name, getattr(tokens(), tone), size, scale)


def set_icon(target: QAbstractButton | QAction | QLabel, name: str, tone: str = "text", size: int = ICON_SIZE) -> None:
    """Show the icon on a button, an action or a label, and keep it in the theme's colour from now on."""
    target.setProperty("icon_name", name)
    target.setProperty("icon_tone", tone)
    target.setProperty("icon_size", size)
    _draw(target)


def recolour_all() -> None:
    """Draw every icon again that was set by `set_icon`. Called when the theme has changed."""
    for widget in QApplication.allWidgets():
        if widget.property("icon_name"):
            _draw(widget)
        for action in widget.actions():
            if action.property("icon_name"):
                _draw(action)


def _draw(target: QObject) -> None:
    name, tone, size = (target.property(key) for key in ("icon_name", "icon_tone", "icon_size"))
    if isinstance(target, QLabel):
        target.setPixmap(pixmap(name, tone, size, max(_SCALES)))
        return
    if isinstance(target, QAbstractButton):
        target.setIconSize(QSize(size, size))
    if isinstance(target, (QAbstractButton, QAction)):
        target.setIcon(icon(name, tone, size))


@lru_cache(maxsize=256)
def _icon(name: str, colour: str, disabled_colour: str, size: int) -> QIcon:
    result = QIcon()
    for scale in _SCALES:
        result.addPixmap(_pixmap(name, colour, size, scale))
        result.addPixmap(_pixmap(name, disabled_colour, size, scale), QIcon.Mode.Disabled)
    return result


@lru_cache(maxsize=512)
def _pixmap(name: str, colour: str, size: int, scale: float) -> QPixmap:
    svg = (RESOURCES / "icons" / f"{name}.svg").read_text(encoding="utf-8").replace("currentColor", colour)
    renderer = QSvgRenderer(QByteArray(svg.encode()))
    result = QPixmap(round(size * scale), round(size * scale))
    result.fill(Qt.GlobalColor.transparent)
    painter = QPainter(result)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    renderer.render(painter, QRectF(0, 0, size * scale, size * scale))
    painter.end()
    result.setDevicePixelRatio(scale)
    return result
