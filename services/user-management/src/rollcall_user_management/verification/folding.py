"""One partition of the log folded in memory, with the projection's own rules and rows."""

from collections.abc import Iterator, Mapping, Sequence

from rollcall_events import PARTITIONS, Event, Position, RawRecord, Subscription
from rollcall_events.folding import (
    Failure,
    Folded,
    HandlerFailed,
    Held,
    Known,
    Life,
    Outcome,
    decode_all,
    fold,
)
from rollcall_user_management.domain.decide import Aggregate
from rollcall_user_management.domain.state import Role, User
from rollcall_user_management.projection.batch import Batch, nothing_yet
from rollcall_user_management.projection.spans import Spans
from rollcall_user_management.projection.tables import Row, role_row, user_row


class PartitionFold:
    """What the log makes of a partition, as far as it was taken.

    failures: records that are parked; they and what follows them with their keys are `held`, and
    change nothing. discarded: positions that were discarded by hand, with why.
    """

    def __init__(
        self,
        subscription: Subscription,
        partition: int,
        failures: Mapping[Position, Failure],
        discarded: Mapping[tuple[int, int], str],
    ):
        self.held: dict[str, list[Held]] = {}
        self.inbox: dict[str, dict[str, int]] = {}  # key → event id → offset of its first copy
        self._subscription = subscription
        self._partition = partition
        self._failures = dict(failures)
        self._discarded = discarded
        self._states: dict[str, Aggregate] = {}
        self._lives: dict[str, Life] = {}
        self._spans = Spans()
        self._spanned: dict[str, list[Row]] = {}

    def take(self, records: Sequence[RawRecord]) -> Sequence[Row]:
        """Fold the next records; their rows of the history."""
        folded = self._folded(records)
        batch = Batch(None, self._before(folded), spans=self._spans)
        for _, event in folded.events:
            batch.apply(event)
        for rejection in folded.rejections:
            batch.reject(rejection)
        self._states |= batch.after
        self._remember(folded)
        return batch.history

    def newest(self, key: str) -> int | None:
        """The offset of the newest event of a key that was applied or rejected."""
        return max(self.inbox.get(key, {}).values(), default=None)

    # What the tables hold of some keys, when the last record was taken.

    def users(self, keys: Sequence[str]) -> Iterator[Row]:
        return (user_row(user) for user in self._of(keys) if isinstance(user, User))

    def roles(self, keys: Sequence[str]) -> Iterator[Row]:
        return (role_row(role) for role in self._of(keys) if isinstance(role, Role))

    def user_roles(self, keys: Sequence[str]) -> Iterator[Row]:
        for user in self._of(keys):
            if isinstance(user, User):
                yield from ((user.id, role, name) for role, name in user.roles.items())

    def assignments(self, keys: Sequence[str]) -> Iterator[Row]:
        if not self._spanned:
            for span in self._spans.begun:
                self._spanned.setdefault(span.user_id, []).append(span.row())
        return (row for key in keys for row in self._spanned.get(key, ()))

    def inbox_rows(self, keys: Sequence[str]) -> Iterator[Row]:
        for key in keys:
            for event_id, offset in self.inbox.get(key, {}).items():
                yield key, event_id, self._partition, offset

    def aggregates(self, keys: Sequence[str]) -> Iterator[Row]:
        lives = ((key, self._lives.get(key)) for key in keys)
        return ((key, life.collection, life.live) for key, life in lives if life)

    def _of(self, keys: Sequence[str]) -> Iterator[Aggregate]:
        return (self._states[key] for key in keys if key in self._states)

    def _folded(self, records: Sequence[RawRecord]) -> Folded:
        decoded = decode_all(self._subscription, records, PARTITIONS, Outcome())
        events = [item for _, item in decoded if isinstance(item, Event)]
        known = Known(
            {(e.key, e.id) for e in events if e.id in self.inbox.get(e.key, ())},
            {e.key: self._lives[e.key] for e in events if e.key in self._lives},
            self.held.keys(),
            self._discarded,
        )
        while True:
            try:
                return fold(decoded, known, self._failures, Outcome())
            except HandlerFailed as failed:  # of a type that this version does not know
                self._failures[failed.record.position] = failed.failure

    def _before(self, folded: Folded) -> dict[str, Aggregate]:
        before: dict[str, Aggregate] = {}
        for _, event in folded.events:
            before[event.key] = self._states.get(event.key) or nothing_yet(event)
        for rejection in folded.rejections:
            if rejection.event is not None and rejection.event.key in self._states:
                before[rejection.event.key] = self._states[rejection.event.key]
        return before

    def _remember(self, folded: Folded) -> None:
        self._lives |= folded.lives
        for held in folded.held:
            self.held.setdefault(held.event.key, []).append(held)
        for (key, event_id), record in folded.seen.items():
            self.inbox.setdefault(key, {})[event_id] = record.offset
