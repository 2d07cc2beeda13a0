"""The chat database: its tables, its search index, and how an older one becomes the present one.

`content` stands last in `messages` so that the other columns of a row can be read where its overflow pages are damaged.
"""

from __future__ import annotations

import sqlite3

from app.errors import StorageError

SCHEMA_VERSION = 1

TABLES = """
CREATE TABLE conversations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    titled INTEGER NOT NULL DEFAULT 0,
    system_prompt TEXT NOT NULL DEFAULT '',
    sampling TEXT NOT NULL DEFAULT '{}',
    preset TEXT NOT NULL DEFAULT '',
    model_name TEXT NOT NULL DEFAULT '',
    active_leaf INTEGER,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    deleted_at REAL
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    parent_id INTEGER REFERENCES messages (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at REAL NOT NULL,
    model_name TEXT NOT NULL DEFAULT '',
    statistics TEXT,
    content TEXT NOT NULL
);
CREATE TABLE presets (name TEXT PRIMARY KEY, sampling TEXT NOT NULL);
CREATE INDEX conversations_by_time ON conversations (updated_at DESC, number DESC) WHERE deleted_at IS NULL;
CREATE INDEX messages_by_conversation ON messages (conversation_id, parent_id);
CREATE INDEX messages_by_parent ON messages (parent_id);
CREATE INDEX messages_streaming ON messages (state) WHERE state = 'streaming';
"""

# Trigrams find any three characters anywhere: Chinese and Japanese, which have no spaces, and "C++" as well as words.
# An answer is indexed once it has ended, not at each update while it streams: hence the view and the conditions.
SEARCH = """
CREATE VIEW indexed_messages AS SELECT id, content FROM messages WHERE state <> 'streaming';
CREATE VIRTUAL TABLE message_search USING fts5
    (content, content = 'indexed_messages', content_rowid = 'id', tokenize = 'trigram');
CREATE VIRTUAL TABLE title_search USING fts5
    (title, content = 'conversations', content_rowid = 'number', tokenize = 'trigram');
CREATE TRIGGER message_inserted AFTER INSERT ON messages WHEN new.state <> 'streaming' BEGIN
    INSERT INTO message_search (rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER message_deleted AFTER DELETE ON messages WHEN old.state <> 'streaming' BEGIN
    INSERT INTO message_search (message_search, rowid, content) VALUES ('delete', old.id, old.content);
END;
CREATE TRIGGER message_unindexed AFTER UPDATE OF content, state ON messages WHEN old.state <> 'streaming' BEGIN
    INSERT INTO message_search (message_search, rowid, content) VALUES ('delete', old.id, old.content);
END;
CREATE TRIGGER message_indexed AFTER UPDATE OF content, state ON messages WHEN new.state <> 'streaming' BEGIN
    INSERT INTO message_search (rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER title_inserted AFTER INSERT ON conversations BEGIN
    INSERT INTO title_search (rowid, title) VALUES (new.number, new.title);
END;
CREATE TRIGGER title_deleted AFTER DELETE ON conversations BEGIN
    INSERT INTO title_search (title_search, rowid, title) VALUES ('delete', old.number, old.title);
END;
CREATE TRIGGER title_updated AFTER UPDATE OF title ON conversations BEGIN
    INSERT INTO title_search (title_search, rowid, title) VALUES ('delete', old.number, old.title);
    INSERT INTO title_search (rowid, title) VALUES (new.number, new.title);
END;
"""

SEARCH_OBJECTS = (
    *(("TRIGGER", f"message_{what}") for what in ("inserted", "deleted", "unindexed", "indexed")),
    *(("TRIGGER", f"title_{what}") for what in ("inserted", "deleted", "updated")),
    ("TABLE", "message_search"),
    ("TABLE", "title_search"),
    ("VIEW", "indexed_messages"),
)

MIGRATIONS: dict[int, str] = {0: TABLES + SEARCH}
"""From version n to n + 1: what is run, in one transaction."""


def migrate(db: sqlite3.Connection, target: int = SCHEMA_VERSION, migrations: dict[int, str] = MIGRATIONS) -> None:
    """Bring the database to the version `target`, step by step. Raises StorageError for one of a newer Bantam."""
    version = _version(db)
    if version > target:
        raise StorageError(
            f"The chats were last opened by a newer Bantam (chat format {version}, this one knows {target}).",
            "Update Bantam to open them. They were left as they are.",
        )
    while (version := _version(db)) < target:
        db.execute("BEGIN IMMEDIATE")
        try:
            if _version(db) == version:  # not already done by another process meanwhile
                for statement in statements(migrations[version]):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {version + 1}")
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def rebuild_search(db: sqlite3.Connection) -> None:
    """Make the search index anew from the messages and titles, inside a transaction of the caller's."""
    for kind, name in SEARCH_OBJECTS:
        db.execute(f"DROP {kind} IF EXISTS {name}")
    for statement in statements(SEARCH):
        db.execute(statement)
    for table in ("message_search", "title_search"):
        db.execute(f"INSERT INTO {table} ({table}) VALUES ('rebuild')")


def statements(script: str) -> list[str]:
    """The single statements of a script: `executescript` would commit the transaction around it."""
    found, current = [], ""
    for line in script.splitlines():
        current += line + "\n"
        if sqlite3.complete_statement(current):
            found.append(current.strip())
            current = ""
    return [statement for statement in found if statement]


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
