"""One batch of events on its way into the read store.

The aggregates it touches are read once, evolve in memory event by event, and are written back
once, together with the history; the library commits all that with the offsets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rollcall_events import EVENT_TYPES, Event, Lifecycle, Recorded, Rejection, Statement
from rollcall_events.postgres import Wire
from rollcall_user_management.admission.store import settling
from rollcall_user_management.domain.decide import Aggregate
from rollcall_user_management.domain.evolve import evolve
from rollcall_user_management.domain.state import Role, Stamp, User
from rollcall_user_management.projection import tables
from rollcall_user_management.projection.changes import changes


@dataclass
class Batch:
    wire: Wire
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


def begin(wire: Wire, events: Sequence[Event]) -> Batch:
    """A batch with the aggregates that its events belong to; those that it creates at version 0."""
    users: dict[str, Aggregate] = {}
    roles: dict[str, Aggregate] = {}
    created = set()
    for event in events:
        type_ = EVENT_TYPES[event.type]
        if type_.lifecycle is Lifecycle.BEGINS:
            created.add(event.key)
        if type_.collection == "users":
            users[event.key] = User(event.key)
        else:
            roles[event.key] = Role(event.key)
    stored = tables.load_users(wire, users.keys() - created)
    stored |= tables.load_roles(wire, roles.keys() - created)
    return Batch(wire, users | roles | stored)


def end(batch: Batch, rejections: Sequence[Rejection]) -> Sequence[Statement]:
    """Everything that is to be written, and what releases the admissions of events that have
    come by."""
    for rejection in rejections:
        if rejection.event is not None:
            batch.reject(rejection.event, rejection.reason)
    statements = [
        *tables.saving_users(batch.before, batch.after),
        *tables.saving_roles(batch.after),
        *tables.saving_history(batch.history),
        *tables.saving_undecodable([r for r in rejections if r.event is None]),
    ]
    if batch.settled:
        statements.append(settling(batch.settled))
    return statements


def _stamp(state: Aggregate, event: Event) -> Stamp:
    """The append time, made monotonic within the aggregate: leaders' clocks may disagree."""
    moment = event.recorded_at
    if state.last is not None:
        moment = max(moment, state.last.recorded_at)
    return Stamp(moment, event.position.partition, event.position.offset)
