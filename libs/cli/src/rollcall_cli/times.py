"""Moments as they are given on the command line, and as they are shown there."""

import argparse
import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str) -> datetime:
    """RFC 3339, or how long ago: 30s, 5m, 2h, 7d. Raises ArgumentTypeError."""
    ago = _AGO.fullmatch(text)
    if ago:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = "must be a time such as 2026-05-04T12:00:00Z, or how long ago: 30s, 5m, 2h, 7d"
        raise argparse.ArgumentTypeError(message) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def to_the_second(text: str) -> str:
    """RFC 3339 in UTC, for people to read."""
    return text[: len("2026-01-01T00:00:00")].replace("T", " ")
