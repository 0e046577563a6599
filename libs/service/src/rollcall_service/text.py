"""Published strings as they may be stored and shown.

Anybody may publish an event, so nothing is taken for granted of its texts.
"""

import unicodedata

MAX_EMAIL = 254  # RFC 5321
MAX_TEXT = 200


def plain(value: str, limit: int = MAX_TEXT) -> str:
    """No control characters (Postgres cannot keep a NUL), no more than `limit` characters."""
    spaced = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in value)
    return " ".join(spaced.split())[:limit]


def address(value: str) -> str:
    """An e-mail address, or nothing where it cannot be one."""
    cleaned = plain(value, limit=MAX_EMAIL + 1)
    return cleaned if "@" in cleaned and len(cleaned) <= MAX_EMAIL else ""
