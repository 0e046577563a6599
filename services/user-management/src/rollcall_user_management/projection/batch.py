"""One batch of events on its way into the read store.

The aggregates it touches are read once, evolve in memory event by event, and are written back
once, together with the history; the library commits all that with the offsets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from rollcall_events import EVENT_TYPES, Event, Recorded, Rejection
from rollcall_user_management.admission.store import settle
from rollcall_user_management.domain.decide import Aggregate
from rollcall_user_management.domain.evolve import evolve
from rollcall_user_management.domain.state import Role, Stamp, User
from rollcall_user_management.projection import tables
from rollcall_user_management.projection.changes import changes


@dataclass
class Batch:
    connection: Connection
    before: dict[str, Aggregate]
    after: dict[str, Aggregate] = field(default_factory=dict)
    history: list[tuple[Any, ...]] = field(default_factory=list)
    settled: list[tuple[str, str, Recorded]] = field(default_factory=list)

    def apply(self, event: Event) -> None:
        state = self.after.get(event.key) or self.before[event.key]
        after = evolve(state, event.message, _stamp(state, event))
        self.after[event.key] = after
        version = after.version if EVENT_TYPES[event.type].versioned else None
        self._note(event, after.last, version, None, changes(state, after))

    def reject(self, event: Event, reason: str) -> None:
        stamp = Stamp(event.recorded_at, event.position.partition, event.position.offset)
        self._note(event, stamp, None, reason, [])

    def _note(
        self,
        event: Event,
        stamp: Stamp | None,
        version: int | None,
        rejected: str | None,
        changed: list[dict[str, Any]],
    ) -> None:
        assert stamp is not None
        self.history.append(tables.history_row(event, stamp, version, rejected, changed))
        if event.command_id is not None:
            self.settled.append((event.key, event.id, Recorded(event.position, event.recorded_at)))


def begin(connection: Connection, events: Sequence[Event]) -> Batch:
    """A batch with the aggregates that its events belong to; new ones at version 0."""
    users = {e.key for e in events if EVENT_TYPES[e.type].collection == "users"}
    roles = {e.key for e in events} - users
    stored = tables.load_users(connection, users) | tables.load_roles(connection, roles)
    new = {key: User(key) for key in users} | {key: Role(key) for key in roles}
    return Batch(connection, new | stored)


def end(batch: Batch, rejections: Sequence[Rejection]) -> None:
    """Write everything, and release the admissions whose events have come by."""
    for rejection in rejections:
        if rejection.event is not None:
            batch.reject(rejection.event, rejection.reason)
    tables.save_users(batch.connection, batch.before, batch.after)
    tables.save_roles(batch.connection, batch.after)
    tables.save_history(batch.connection, batch.history)
    tables.save_undecodable(batch.connection, [r for r in rejections if r.event is None])
    if batch.settled:
        settle(batch.connection, batch.settled)


def _stamp(state: Aggregate, event: Event) -> Stamp:
    """The append time, made monotonic within the aggregate: leaders' clocks may disagree."""
    moment = event.recorded_at
    if state.last is not None:
        moment = max(moment, state.last.recorded_at)
    return Stamp(moment, event.position.partition, event.position.offset)
