"""The form of queries."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

MAX_PAGE = 200
DEFAULT_PAGE = 50


class InvalidField(Exception):
    """A field of the question is malformed."""

    def __init__(self, field: str, problem: str):
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


def page_size(asked: int, most: int = MAX_PAGE) -> int:
    if asked == 0:
        return DEFAULT_PAGE
    if not 1 <= asked <= most:
        raise InvalidField("page_size", f"must be from 1 to {most}")
    return asked


def moment_of(stamp: Timestamp, field: str) -> datetime:
    """Raises InvalidField for what Postgres and Python have no date for."""
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidField(field, "must be a time of the years 1 to 9999") from None
