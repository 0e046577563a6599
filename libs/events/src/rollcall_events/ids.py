"""Identifiers: UUIDv7 (RFC 9562), which sort by the millisecond they were made in."""

import hashlib
import os
import re
import time

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid7() -> str:
    """A new UUIDv7 in canonical form: 48 bits of Unix milliseconds, 74 random bits."""
    return _uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def derived_uuid7(milliseconds: int, *parts: str) -> str:
    """The UUIDv7 of a moment in Unix milliseconds whose other bits are a hash of the parts: the
    same whenever it is asked for. No part may contain NUL."""
    return _uuid7(milliseconds, hashlib.blake2b("\0".join(parts).encode(), digest_size=10).digest())


def _uuid7(milliseconds: int, rest: bytes) -> str:
    value = milliseconds << 80 | int.from_bytes(rest)
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in canonical form: 36 lower-case characters with hyphens."""
    return _CANONICAL.fullmatch(text) is not None
