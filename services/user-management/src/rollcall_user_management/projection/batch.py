"""One batch of events on its way into the read store.

The aggregates it touches are read once, evolve in memory event by event, and are written back
once, together with the history; the library commits all that with the offsets.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rollcall_events import EVENT_TYPES, Event, Lifecycle, Recorded, Rejection, Statement
from rollcall_events.postgres import Wire
from rollcall_user_management.admission.store import settling
from rollcall_user_management.domain.decide import Aggregate
from rollcall_user_management.domain.evolve import evolve
from rollcall_user_management.domain.state import Role, Stamp, User
from rollcall_user_management.generations.locks import ENDING
from rollcall_user_management.projection import tables
from rollcall_user_management.projection.changes import changes
from rollcall_user_management.projection.spans import Spans


@dataclass
class Batch:
    """before: the aggregates that the events belong to, those that they create at version 0.
    wire: to look up more of them, for rejections; None where there are no more."""

    wire: Wire | None
    before: dict[str, Aggregate]
    after: dict[str, Aggregate] = field(default_factory=dict)
    history: list[tuple[Any, ...]] = field(default_factory=list)
    spans: Spans = field(default_factory=Spans)
    stamps: dict[str, list[Stamp]] = field(default_factory=lambda: defaultdict(list))
    settled: list[tuple[str, str, Recorded]] = field(default_factory=list)

    def apply(self, event: Event) -> None:
        state = self.after.get(event.key) or self.before[event.key]
        stamp = _stamp(state.last, event)
        after = evolve(state, event.message, stamp)
        self.after[event.key] = after
        self.stamps[event.key].append(stamp)
        if isinstance(state, User) and isinstance(after, User) and after.roles is not state.roles:
            self.spans.note(state, after)
        version = after.version if EVENT_TYPES[event.type].versioned else None
        self.history.append(tables.applied_row(event, state, after, version, changes(state, after)))
        self._settle(event)

    def reject(self, rejection: Rejection) -> None:
        if rejection.event is None:
            self.history.append(tables.undecodable_row(rejection.record, rejection.reason))
        else:
            self._reject(rejection.event, rejection.reason)

    def _reject(self, event: Event, reason: str) -> None:
        """Recorded no earlier than what was applied before it."""
        known = self.before.get(event.key)
        last = known.last if known else None
        for stamp in self.stamps[event.key]:
            last = stamp if stamp.offset < event.position.offset else last
        stamp = _stamp(last, event)
        self.history.append(tables.rejected_row(event, stamp.recorded_at, reason))
        self._settle(event)

    def _settle(self, event: Event) -> None:
        if event.command_id is not None:
            self.settled.append((event.key, event.id, Recorded(event.position, event.recorded_at)))


def begin(wire: Wire, events: Sequence[Event]) -> Batch:
    """A batch with the aggregates that its events belong to; those that it creates at version 0."""
    begun: dict[str, Aggregate] = {}
    known: dict[str, set[str]] = {"users": set(), "roles": set()}
    for event in events:
        type_ = EVENT_TYPES[event.type]
        if type_.lifecycle is Lifecycle.BEGINS:
            begun[event.key] = nothing_yet(event)
        else:
            known[type_.collection].add(event.key)
    users = tables.load_users(wire, known["users"] - begun.keys())
    roles = tables.load_roles(wire, known["roles"] - begun.keys())
    return Batch(wire, begun | users | roles)


def nothing_yet(event: Event) -> Aggregate:
    """The aggregate of an event before the first of its events."""
    users = EVENT_TYPES[event.type].collection == "users"
    return User(event.key) if users else Role(event.key)


def end(batch: Batch, rejections: Sequence[Rejection]) -> Sequence[Statement]:
    """Everything that is to be written, and at last what releases the admissions of events that
    have come by, if the generation is the live one."""
    _reject(batch, rejections)
    statements = [
        *tables.saving_users(batch.before, batch.after),
        *tables.saving_roles(batch.after),
        *tables.saving_assignments(batch.spans),
        *tables.saving_history(batch.history),
        ENDING,
    ]
    if batch.settled:
        statements.append(settling(batch.settled))
    return statements


def _reject(batch: Batch, rejections: Sequence[Rejection]) -> None:
    unknown = {r.event.key for r in rejections if r.event is not None} - batch.before.keys()
    if batch.wire is not None:
        batch.before |= tables.load_users(batch.wire, unknown)
        batch.before |= tables.load_roles(batch.wire, unknown)
    for rejection in rejections:
        batch.reject(rejection)


def _stamp(last: Stamp | None, event: Event) -> Stamp:
    """The append time, made monotonic within the aggregate: leaders' clocks may disagree."""
    moment = event.recorded_at if last is None else max(event.recorded_at, last.recorded_at)
    return Stamp(moment, event.position.partition, event.position.offset)
