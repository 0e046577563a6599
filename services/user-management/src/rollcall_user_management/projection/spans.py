"""The spans of time in which users held roles, as a batch of events begins and ends them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rollcall_user_management.domain.state import Stamp, User


@dataclass
class Span:
    """From the event at an offset of the user's partition until that at another, if it ended."""

    user_id: str
    role_id: str
    role_name: str
    user_created_at: datetime
    since: datetime
    since_offset: int
    until: datetime | None = None
    until_offset: int | None = None

    def row(self) -> tuple[Any, ...]:
        """Its columns in the order of `tables.ASSIGNMENT`."""
        return tuple(vars(self).values())


class Spans:
    """begun: those that begin in the batch. ended: of those stored before it, what is to be
    noted: user, role, until, until_offset."""

    def __init__(self) -> None:
        self.begun: list[Span] = []
        self.ended: list[tuple[str, str, datetime, int]] = []
        self._open: dict[tuple[str, str], Span] = {}

    def note(self, before: User, after: User) -> None:
        """What the newest event of `after` changed. A role that is assigned again under another
        name begins another span."""
        assert after.last is not None
        for role, name in before.roles.items():
            if after.roles.get(role) != name:
                self._end(after.id, role, after.last)
        for role, name in after.roles.items():
            if before.roles.get(role) != name:
                self._begin(after, role, name, after.last)

    def _begin(self, user: User, role: str, name: str, at: Stamp) -> None:
        assert user.created_at is not None
        span = Span(user.id, role, name, user.created_at, at.recorded_at, at.offset)
        self._open[user.id, role] = span
        self.begun.append(span)

    def _end(self, user: str, role: str, at: Stamp) -> None:
        span = self._open.pop((user, role), None)
        if span is None:
            self.ended.append((user, role, at.recorded_at, at.offset))
        else:
            span.until, span.until_offset = at.recorded_at, at.offset
