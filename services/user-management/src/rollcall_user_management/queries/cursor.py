"""Keyset cursors: where a page ended, bound to the question that it answered."""

import hashlib
import json
from collections.abc import Sequence

from rollcall_events.ids import is_uuid


class InvalidCursor(Exception):
    """The cursor is not of this question, or not one of ours."""


def encode(question: Sequence[object], value: str, id_: str) -> bytes:
    return json.dumps([_digest(question), value, id_]).encode()


def decode(cursor: bytes, question: Sequence[object]) -> tuple[str, str]:
    """The sort value and the id that the page before ended with. Raises InvalidCursor."""
    try:
        digest, value, id_ = json.loads(cursor)
    except (ValueError, TypeError, RecursionError):
        raise InvalidCursor from None
    if digest != _digest(question) or not (isinstance(value, str) and isinstance(id_, str)):
        raise InvalidCursor
    if not is_uuid(id_) or "\0" in value or (not value.isascii() and _surrogate(value)):
        raise InvalidCursor
    return value, id_


def _surrogate(value: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in value)


def _digest(question: Sequence[object]) -> str:
    return hashlib.blake2b(json.dumps(question).encode(), digest_size=9).hexdigest()
