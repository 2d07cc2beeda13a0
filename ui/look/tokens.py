"""The look, as one table of tokens for light and one for dark: colours, the grid, radii, type sizes. No widget here.

Whoever paints by hand asks `tokens()` at paint time, so that a change of theme needs no more than a repaint.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tokens:
    """Colours are #rrggbb, sizes are logical pixels. The words say the use, not the hue."""

    dark: bool
    page: str
    """The colour behind the content: the transcript, lists, forms."""
    side: str
    """The colour behind the rail, the performance panel and the job strip."""
    raised: str
    """Fields, bars, code, the user's own messages: one step away from the page."""
    hover: str
    pressed: str
    selected: str
    hairline: str
    """Lines that only separate. They carry no meaning."""
    outline: str
    """Edges that must be seen to be used: fields, check boxes, plain buttons (3:1 on the page)."""
    text: str
    text_secondary: str
    accent: str
    """The colour for the one thing to do next, the selected thing and the focus ring."""
    accent_hover: str
    on_accent: str
    danger: str
    on_danger: str
    warning: str
    success: str
    danger_surface: str
    warning_surface: str
    notice_surface: str
    guessed_surface: str
    """The colour behind words that a draft guessed; they are underlined too."""
    memory_weights: str
    memory_kv: str
    memory_buffers: str
    memory_draft: str
    memory_rest: str
    memory_others: str
    code_keyword: str
    code_string: str
    code_comment: str
    code_number: str
    code_function: str
    space: int = 8
    """The grid: every gap is a half, one, two or three of it."""
    radius: int = 6
    size_caption: int = 11
    size_text: int = 13
    size_title: int = 16
    size_figure: int = 28


LIGHT = Tokens(
    dark=False,
    page="#ffffff", side="#f5f5f3", raised="#f2f2f0", hover="#e9e9e6", pressed="#dededa", selected="#dcecec",
    hairline="#e2e2de", outline="#878b92", text="#1c1d1f", text_secondary="#5a5e66",
    accent="#0d6670", accent_hover="#0a525a", on_accent="#ffffff", danger="#b3261e", on_danger="#ffffff",
    warning="#7f5200", success="#1d6b39",
    danger_surface="#fbe9e7", warning_surface="#fbf1dc", notice_surface="#e6f1f2", guessed_surface="#dcecec",
    memory_weights="#0d6670", memory_kv="#3f7fd0", memory_buffers="#b06a1f", memory_draft="#3d8b5f",
    memory_rest="#8a5aa8", memory_others="#858990",
    code_keyword="#8a2f8f", code_string="#22672f", code_comment="#63676e", code_number="#9a4300",
    code_function="#1f52a8",
)  # fmt: skip

DARK = Tokens(
    dark=True,
    page="#1e1f22", side="#18191b", raised="#292a2e", hover="#303237", pressed="#3a3c42", selected="#1f3d42",
    hairline="#33353a", outline="#7d828b", text="#e8e9eb", text_secondary="#a7abb3",
    accent="#63c3cd", accent_hover="#85d3db", on_accent="#0c2225", danger="#ff8a80", on_danger="#3a0905",
    warning="#f0bd62", success="#7fd39a",
    danger_surface="#3f2322", warning_surface="#3a301c", notice_surface="#1f3336", guessed_surface="#1f3d42",
    memory_weights="#63c3cd", memory_kv="#7aa9ee", memory_buffers="#e0a45c", memory_draft="#7fd0a0",
    memory_rest="#c19ade", memory_others="#868b94",
    code_keyword="#d59ae0", code_string="#93cf9b", code_comment="#9a9fa8", code_number="#efa56f",
    code_function="#8fb8f5",
)  # fmt: skip

_current = LIGHT


def tokens() -> Tokens:
    """The table in force. Ask again at each paint; never keep it."""
    return _current


def use(table: Tokens) -> None:
    """Put a table in force. Only the theme does this; the widgets then need a repaint."""
    global _current
    _current = table
