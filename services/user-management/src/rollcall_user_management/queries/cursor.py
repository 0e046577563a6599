"""Keyset cursors: where a page ended, bound to the question that it answered."""

import hashlib
import json
from collections.abc import Sequence

from rollcall_events.ids import is_uuid


class InvalidCursor(Exception):
    """The cursor is not of this question, or not one of ours."""


def encode(question: Sequence[object], value: str, id_: str) -> bytes:
    return _encode(question, value, id_)


def decode(cursor: bytes, question: Sequence[object]) -> tuple[str, str]:
    """The sort value and the id that the page before ended with. Raises InvalidCursor."""
    match _decode(cursor, question):
        case [str(value), str(id_)] if is_uuid(id_) and not _unstorable(value):
            return value, id_
    raise InvalidCursor


def encode_place(question: Sequence[object], place: tuple[str, int, int]) -> bytes:
    """place: a moment, a partition and an offset."""
    return _encode(question, *place)


def decode_place(cursor: bytes, question: Sequence[object]) -> tuple[str, int, int]:
    """The place that the page before ended with. Raises InvalidCursor."""
    match _decode(cursor, question):
        case [str(moment), int(partition), int(offset)] if not _unstorable(moment):
            return moment, partition, offset
    raise InvalidCursor


def _encode(question: Sequence[object], *place: object) -> bytes:
    return json.dumps([_digest(question), *place]).encode()


def _decode(cursor: bytes, question: Sequence[object]) -> list[object]:
    try:
        match json.loads(cursor):
            case [digest, *place] if digest == _digest(question):
                return place
    except (ValueError, RecursionError):
        pass
    raise InvalidCursor


def _unstorable(value: str) -> bool:
    return "\0" in value or (not value.isascii() and _surrogate(value))


def _surrogate(value: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in value)


def _digest(question: Sequence[object]) -> str:
    return hashlib.blake2b(json.dumps(question).encode(), digest_size=9).hexdigest()
