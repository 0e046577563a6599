"""Moments as clients give them: RFC 3339, strictly, so that none is taken for another."""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from rollcall_gateway import problems
from rollcall_gateway.problems import FieldError

_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)
_ADVICE = (
    "must be an RFC 3339 time with its zone, such as 2026-01-31T09:30:00Z "
    "(in an address, + is written %2B)"
)


def moments(query: msgspec.Struct, *names: str) -> dict[str, Any]:
    """Those of the query's parameters that are given, as protobuf takes them. Raises a Problem
    (422) that names every one that is no moment."""
    given = {name: getattr(query, name) for name in names}
    found = {name: _moment(text) for name, text in given.items() if text is not msgspec.UNSET}
    wrong = [FieldError(name, _ADVICE) for name, moment in found.items() if moment is None]
    if wrong:
        raise problems.invalid_fields(wrong)
    return found


def _moment(text: str) -> Timestamp | None:
    if not _RFC_3339.fullmatch(text):
        return None
    stamp = Timestamp()
    try:
        stamp.FromDatetime(datetime.fromisoformat(text.upper()).astimezone(UTC))
    except (ValueError, OverflowError):  # no such day, or before the first one
        return None
    return stamp
