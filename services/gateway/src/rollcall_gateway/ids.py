"""Identities the gateway makes: UUIDv7, so that ids sort by the time they were made."""

import re
import secrets
import time

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def uuid7(milliseconds: int | None = None, entropy: int | None = None) -> str:
    """RFC 9562 §5.7: 48 bits of Unix time in milliseconds, then 74 random bits."""
    time_bits = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    random_bits = secrets.randbits(74) if entropy is None else entropy
    high = (time_bits << 16) | 0x7000 | (random_bits >> 62)
    low = (1 << 63) | (random_bits & ((1 << 62) - 1))
    digits = f"{(high << 64) | low:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def canonical_uuid(text: str) -> str | None:
    """The id as it is stored (lower case), or None for what is not a hyphenated UUID."""
    return text.lower() if _UUID.fullmatch(text) else None
