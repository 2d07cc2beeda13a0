"""How models are called in a list to choose one from: two of one name told apart, what was pruned named as such."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from app.library.library import ModelEntry


def originals_first(entries: Sequence[ModelEntry]) -> tuple[ModelEntry, ...]:
    """The entries in their order, but those that were pruned or trained here at the end."""
    return tuple(sorted(entries, key=lambda entry: entry.is_altered))


def source_names(entries: Sequence[ModelEntry]) -> tuple[str, ...]:
    """A name for each: with the folders it lies in, as many as tell it from the others, and with what was done
    to it.

    "stdlib-3m", "mine/stdlib-3m-ffn512, pruned".
    """
    return tuple(
        f"{name}, {entry.alteration}" if entry.alteration else name
        for entry, name in zip(entries, _told_apart(entries), strict=True)
    )


def _told_apart(entries: Sequence[ModelEntry]) -> list[str]:
    names, depth = [entry.name for entry in entries], 1
    deepest = max((len(entry.path.parts) for entry in entries), default=0)
    while depth < deepest and (twice := {name for name, count in Counter(names).items() if count > 1}):
        depth += 1
        names = [
            "/".join((*entry.path.parts[-depth:-1], entry.name)).replace("//", "/") if name in twice else name
            for entry, name in zip(entries, names, strict=True)
        ]
    return names
