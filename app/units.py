"""Numbers as people read them."""

from __future__ import annotations


def size_text(size_bytes: int) -> str:
    """ "4.1 GB", and smaller units only below a tenth of a GB: "21.9 MB", "12.0 kB", "7 bytes". Decimal units."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= factor or (unit == "GB" and size_bytes >= 10**8):
            return f"{size_bytes / factor:.1f} {unit}"
    return "1 byte" if size_bytes == 1 else f"{size_bytes} bytes"


def percent(share: float, decimals: int = 0) -> str:
    """ "41 %" of 0.41, as the units of sizes and times stand after a space."""
    return f"{share * 100:.{decimals}f} %"


def grouped(number: int) -> str:
    """Thousands set apart with commas: 4,096."""
    return f"{number:,}"
