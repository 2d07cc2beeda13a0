"""The program's icon in every form that a desktop wants, drawn by Qt from one SVG: PNGs, .ico, .icns.

python -m bundle.icons FOLDER
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from bundle.layout import PACKAGING

SVG = PACKAGING / "icons" / "bantam.svg"
SIZES = (16, 22, 24, 32, 48, 64, 128, 256, 512, 1024)
LINUX_SIZES = SIZES[:-1]
WINDOWS_SIZES = (16, 24, 32, 48, 64, 128, 256)
ICNS_TYPES = {b"icp4": 16, b"icp5": 32, b"ic11": 32, b"ic12": 64, b"ic07": 128, b"ic08": 256, b"ic13": 256,
              b"ic09": 512, b"ic14": 512, b"ic10": 1024}  # fmt: skip
"""Sizes in pixels of the kinds that hold a PNG; some stand for half the size on a display of double density."""


def render(size: int) -> bytes:
    """The icon as a PNG of `size` x `size` pixels. Qt must have a QGuiApplication."""
    from PySide6.QtCore import QBuffer, QIODevice, Qt
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    image = QImage(size, size, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(SVG)).render(painter)
    painter.end()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    return bytes(buffer.data().data())


def ico(pictures: dict[int, bytes]) -> bytes:
    """A Windows icon of PNGs by size (at most 256). Format: ICONDIR and ICONDIRENTRY of the Windows API."""
    header = struct.pack("<HHH", 0, 1, len(pictures))
    offset = len(header) + 16 * len(pictures)
    entries, bodies = b"", b""
    for size, png in pictures.items():
        side = size % 256  # 0 stands for 256
        entries += struct.pack("<BBBBHHII", side, side, 0, 0, 1, 32, len(png), offset + len(bodies))
        bodies += png
    return header + entries + bodies


def icns(pictures: dict[int, bytes]) -> bytes:
    """An icon of macOS from PNGs by size: a list of (type, length, PNG)."""
    body = b"".join(
        kind + struct.pack(">I", 8 + len(pictures[size])) + pictures[size] for kind, size in ICNS_TYPES.items()
    )
    return b"icns" + struct.pack(">I", 8 + len(body)) + body


def main(folder: Path) -> None:
    """Write them all into `folder`."""
    from PySide6.QtGui import QGuiApplication

    application = QGuiApplication([])
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {size: render(size) for size in SIZES}
    del application
    for size, png in pictures.items():
        (folder / f"bantam-{size}.png").write_bytes(png)
    (folder / "bantam.ico").write_bytes(ico({size: pictures[size] for size in WINDOWS_SIZES}))
    (folder / "bantam.icns").write_bytes(icns(pictures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
