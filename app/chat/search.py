"""Finding conversations: what the user typed as an index query, and the text around the hit. Any input is only text."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from app.chat.conversation import ConversationSummary
from app.chat.database import as_text, as_time

NEWEST_HITS = 5000
"""So many of the newest messages with a hit are grouped into conversations: bounds the work for "the"."""

BEFORE, AFTER = 40, 100
MAX_TERMS = 16
TRIGRAM = 3


@dataclass(frozen=True, slots=True)
class SearchTerms:
    """`long` are found through the trigram index, `short` (one or two characters) by looking at the text."""

    long: tuple[str, ...]
    short: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.long or self.short)

    @property
    def match(self) -> str:
        """The FTS5 query: each term a quoted string, so that no character of it is an operator."""
        return " AND ".join('"' + term.replace('"', '""') + '"' for term in self.long)

    @property
    def like(self) -> tuple[str, ...]:
        """LIKE patterns, with backslash as escape, for the short terms."""
        return tuple("%" + t.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" for t in self.short)


def parse(search: str) -> SearchTerms:
    """The words of a search. All must be there, anywhere in a title or a message, in any order."""
    words = tuple(dict.fromkeys("".join(c if c.isprintable() else " " for c in search).split()))[:MAX_TERMS]
    return SearchTerms(
        tuple(word for word in words if len(word) >= TRIGRAM), tuple(word for word in words if len(word) < TRIGRAM)
    )


def find(db: sqlite3.Connection, terms: SearchTerms, limit: int, offset: int) -> tuple[ConversationSummary, ...]:
    """Conversations with a hit, the most recently used first; the snippet is of the newest message with a hit."""
    titles, title_values = _select("title_search", "conversations", "number", "title", terms)
    messages, message_values = _select("message_search", "indexed_messages", "id", "content", terms)
    rows = db.execute(
        f"""
        WITH titles AS ({titles}), newest AS ({messages} ORDER BY 1 DESC LIMIT {NEWEST_HITS}),
        hits AS (
            SELECT m.conversation_id AS id, max(m.id) AS message FROM newest CROSS JOIN messages m ON m.id = newest.hit
            GROUP BY m.conversation_id
            UNION ALL
            SELECT c.id, NULL FROM titles CROSS JOIN conversations c ON c.number = titles.hit
        )
        SELECT c.id, c.title, c.updated_at, c.model_name, max(h.message)
        FROM hits h CROSS JOIN conversations c ON c.id = h.id WHERE c.deleted_at IS NULL
        GROUP BY c.id ORDER BY c.updated_at DESC, c.number DESC LIMIT ? OFFSET ?
        """,
        (*title_values, *message_values, limit, offset),
    ).fetchall()
    return tuple(_summary(db, row, terms) for row in rows)


def snippet(text: str, terms: SearchTerms) -> str:
    """One line of `text` around the first hit, with "…" where it was cut."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few characters change length, and the places would not agree
        lowered = text
    places = [place for term in (*terms.long, *terms.short) if (place := lowered.find(term.lower())) >= 0]
    start = max(0, min(places, default=0) - BEFORE)
    end = min(places, default=0) + AFTER
    if start and (space := text.find(" ", start, start + BEFORE // 2)) >= 0:
        start = space + 1
    line = " ".join(text[start:end].split())
    return ("…" if start else "") + line + ("…" if end < len(text) else "")


def _select(index: str, table: str, key: str, column: str, terms: SearchTerms) -> tuple[str, tuple[Any, ...]]:
    likes = " AND ".join(f"t.{column} LIKE ? ESCAPE '\\'" for _ in terms.short)
    if not terms.long:
        return f"SELECT t.{key} AS hit FROM {table} t WHERE {likes}", terms.like
    if not terms.short:
        return f"SELECT rowid AS hit FROM {index} WHERE {index} MATCH ?", (terms.match,)
    return (
        f"SELECT i.rowid AS hit FROM {index} i CROSS JOIN {table} t ON t.{key} = i.rowid"
        f" WHERE i.{index} MATCH ? AND {likes}",
        (terms.match, *terms.like),
    )


def _summary(db: sqlite3.Connection, row: tuple[Any, ...], terms: SearchTerms) -> ConversationSummary:
    id_, title, updated_at, model_name, message = row
    found = db.execute("SELECT content FROM messages WHERE id = ?", (message,)).fetchone() if message else None
    return ConversationSummary(
        as_text(id_),
        as_text(title),
        as_time(updated_at),
        as_text(model_name),
        snippet(as_text(found[0]), terms) if found else "",
    )
