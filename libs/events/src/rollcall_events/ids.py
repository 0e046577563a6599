"""Identifiers: UUIDv7 (RFC 9562), which sort by the millisecond they were made in."""

import os
import time
import uuid


def uuid7() -> str:
    """A new UUIDv7 in canonical form: 48 bits of Unix milliseconds, 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in canonical form: 36 lower-case characters with hyphens."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
