"""The messages, in SQLite: what was acknowledged is there after a kill -9."""

import json
import secrets
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollcall_local.mailbox.message import snippet_of, summary_of

KEPT = 5_000  # the newest; older ones are dropped

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL,
    read INTEGER NOT NULL DEFAULT 0,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    summary TEXT NOT NULL,
    raw BLOB NOT NULL
)
"""
# Mailpit's search prefixes → column; a bare word looks in all of them.
_COLUMNS = {"from": "sender", "to": "recipients", "subject": "subject", "body": "body"}


class Store:
    def __init__(self, path: Path, kept: int = KEPT):
        self._kept = kept
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")  # durable against the process only
        self._database.execute(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def add(self, raw: bytes, mail_from: str, recipients: Sequence[str]) -> str:
        """Store a message as it came over SMTP; its id."""
        identity = secrets.token_hex(11)
        created = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        summary = summary_of(raw, mail_from, recipients)
        sender = f"{summary['From']['Name']} {summary['From']['Address']}"
        everyone = [f"{to['Name']} {to['Address']}" for to in _recipients(summary)]
        row = (
            *(identity, created, sender, "\n".join(everyone), summary["Subject"]),
            *(snippet_of(raw, 10_000), json.dumps(summary), raw),
        )
        cursor = self._database.execute(
            "INSERT INTO messages (id, created, sender, recipients, subject, body, summary, raw)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        oldest = (cursor.lastrowid or 0) - self._kept
        self._database.execute("DELETE FROM messages WHERE seq <= ?", (oldest,))
        return identity

    def page(self, start: int, limit: int, query: str = "") -> tuple[int, list[dict[str, Any]]]:
        """How many match `query`, and their summaries from `start` on, newest first."""
        condition, values = _condition(query)
        count = self._one(f"SELECT count(*) FROM messages WHERE {condition}", values)  # noqa: S608
        rows = self._database.execute(
            f"SELECT id, created, read, summary FROM messages WHERE {condition}"  # noqa: S608
            " ORDER BY seq DESC LIMIT ? OFFSET ?",
            (*values, limit, start),
        )
        return count, [
            {"ID": identity, "Created": created, "Read": bool(read)} | json.loads(summary)
            for identity, created, read, summary in rows
        ]

    def totals(self) -> tuple[int, int]:
        """How many messages there are, and how many are unread."""
        row = self._database.execute("SELECT count(*), count(*) - total(read) FROM messages")
        total, unread = row.fetchone()
        return int(total), int(unread)

    def open(self, identity: str) -> tuple[dict[str, Any], bytes] | None:
        """The summary and the raw message, which counts as read from now on."""
        row = self._database.execute(
            "UPDATE messages SET read = 1 WHERE id = ? RETURNING created, summary, raw",
            (identity,),
        ).fetchone()
        if row is None:
            return None
        return {"ID": identity, "Created": row[0], "Read": True} | json.loads(row[1]), row[2]

    def clear(self) -> None:
        self._database.execute("DELETE FROM messages")

    def _one(self, statement: str, values: Sequence[str]) -> int:
        return int(self._database.execute(statement, values).fetchone()[0])


def _recipients(summary: dict[str, Any]) -> list[dict[str, str]]:
    return [*summary["To"], *summary["Cc"], *summary["Bcc"]]


def _condition(query: str) -> tuple[str, list[str]]:
    """An SQL condition for words such as `to:ada@example.com welcome`; all must match."""
    terms, values = ["1"], []
    for word in query.split():
        prefix, _, rest = word.partition(":")
        columns = [_COLUMNS[prefix]] if rest and prefix in _COLUMNS else list(_COLUMNS.values())
        wanted = (rest if rest and prefix in _COLUMNS else word).strip('"')
        terms.append("(" + " OR ".join(f"instr(lower({c}), lower(?))" for c in columns) + ")")
        values += [wanted] * len(columns)
    return " AND ".join(terms), values
