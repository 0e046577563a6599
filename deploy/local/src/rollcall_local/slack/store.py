"""People and messages, in SQLite: what was acknowledged is there after a kill -9."""

import hashlib
import json
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KEPT = 5_000  # the newest messages; older ones are dropped

_SCHEMA = """
CREATE TABLE IF NOT EXISTS people (id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    ts TEXT NOT NULL UNIQUE,
    received_at TEXT NOT NULL,
    channel TEXT NOT NULL,
    person TEXT,
    text TEXT NOT NULL,
    blocks TEXT NOT NULL
);
"""


class Store:
    def __init__(self, path: Path, kept: int = KEPT):
        self._kept = kept
        self._last_us = 0
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")  # durable against the process only
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def person(self, email: str) -> str:
        """The user id of an e-mail address: always the same one."""
        address = email.strip().lower()
        identity = "U" + hashlib.sha256(address.encode()).hexdigest()[:10].upper()
        self._database.execute("INSERT OR IGNORE INTO people VALUES (?, ?)", (identity, address))
        return identity

    def email(self, person: str) -> str | None:
        """The address that this user id was given for, if it was."""
        row = self._database.execute("SELECT email FROM people WHERE id = ?", (person,)).fetchone()
        return row[0] if row else None

    def add(self, channel: str, person: str | None, text: str, blocks: list[Any]) -> str:
        """Store a message; its timestamp, which is its identity too."""
        self._last_us = max(time.time_ns() // 1000, self._last_us + 1)
        ts = f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"
        cursor = self._database.execute(
            "INSERT INTO messages (ts, received_at, channel, person, text, blocks)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (ts, datetime.now(UTC).isoformat(), channel, person, text, json.dumps(blocks)),
        )
        oldest = (cursor.lastrowid or 0) - self._kept
        self._database.execute("DELETE FROM messages WHERE seq <= ?", (oldest,))
        return ts

    def messages(self) -> list[dict[str, Any]]:
        """Every message kept, the newest last."""
        rows = self._database.execute(
            "SELECT ts, received_at, channel, person, email, text, blocks"
            " FROM messages LEFT JOIN people ON people.id = person ORDER BY seq"
        )
        names = ("ts", "received_at", "channel", "user", "email", "text")
        return [
            dict(zip(names, row[:-1], strict=True)) | {"blocks": json.loads(row[-1])}
            for row in rows
        ]
