"""The containers of icons, read back byte by byte; the pictures themselves when Qt is there."""

from __future__ import annotations

import struct

import pytest
from bundle.icons import ICNS_TYPES, WINDOWS_SIZES, icns, ico, render

PNG = b"\x89PNG\r\n\x1a\n"


def test_ico_lists_its_pictures() -> None:
    pictures = {size: PNG + bytes(size) for size in WINDOWS_SIZES}
    packed = ico(pictures)
    reserved, kind, count = struct.unpack_from("<HHH", packed)
    assert (reserved, kind, count) == (0, 1, len(WINDOWS_SIZES))
    for index, (size, png) in enumerate(pictures.items()):
        width, height, _, _, _, _, length, offset = struct.unpack_from("<BBBBHHII", packed, 6 + 16 * index)
        assert (width or 256, height or 256) == (size, size)
        assert packed[offset : offset + length] == png


def test_icns_lists_its_pictures() -> None:
    pictures = {size: PNG + bytes(size) for size in set(ICNS_TYPES.values())}
    packed = icns(pictures)
    assert (packed[:4], struct.unpack_from(">I", packed, 4)[0]) == (b"icns", len(packed))
    at, found = 8, {}
    while at < len(packed):
        length = struct.unpack_from(">I", packed, at + 4)[0]
        found[packed[at : at + 4]] = packed[at + 8 : at + length]
        at += length
    assert found == {kind: pictures[size] for kind, size in ICNS_TYPES.items()}


@pytest.mark.parametrize("size", [16, 256])
def test_the_icon_is_drawn(size: int, qapp: object) -> None:
    from PySide6.QtGui import QImage

    image = QImage.fromData(render(size))
    assert (image.width(), image.height()) == (size, size)
    assert image.pixelColor(0, 0).alpha() == 0, "the corners are rounded"
    assert image.pixelColor(size // 4, size // 5).name() == "#0d6670"
