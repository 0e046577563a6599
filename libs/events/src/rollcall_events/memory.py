"""A topic and a group in memory, with the contract of the real ones, for the tests of a service.

The same rules run here as on Kafka and Postgres (folding.py): an event once in effect and in the
order of its key, rejection, parking with order kept, redrive and discard. What a handler does to
its transaction stays if its batch does. Nothing is durable, and there is one replica.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from rollcall_events.codec import RawRecord, encode
from rollcall_events.envelope import Event, Position, Record
from rollcall_events.folding import (
    Failure,
    Folded,
    HandlerFailed,
    Known,
    Life,
    Outcome,
    decode_all,
    fold,
)
from rollcall_events.parking_guard import ParkingGuard
from rollcall_events.partitioner import partition_of
from rollcall_events.publisher import event_of
from rollcall_events.subscription import Rejection, Subscription
from rollcall_events.topic import PARTITIONS

T = TypeVar("T")


class MemoryTopic:
    """A log of 50 partitions, as one broker keeps it."""

    def __init__(self, name: str = "users", source: str = "/services/test"):
        self.name = name
        self.records: dict[int, list[RawRecord]] = {p: [] for p in range(PARTITIONS)}
        self._source = source

    def record(self, message: Message, **envelope: Any) -> Record:
        """The record of a message's event; `envelope` sets further fields of it."""
        return encode(event_of(message, self._source, **envelope), self.name)

    def append(self, record: Record) -> Position:
        partition = partition_of(record.key, PARTITIONS)
        lane = self.records[partition]
        at = int(datetime.now(UTC).timestamp() * 1000)
        raw = (record.key, record.value, record.headers)
        lane.append(RawRecord(self.name, partition, len(lane), *raw, timestamp_ms=at))
        return lane[-1].position

    def publish(self, message: Message, **envelope: Any) -> Position:
        return self.append(self.record(message, **envelope))


@dataclass
class HeldSequence:
    """The first of the records is the one that failed."""

    failure: Failure
    records: list[RawRecord] = field(default_factory=list)


class MemoryGroup(Generic[T]):
    """A group that folds a topic into `state`, which its handlers get as their transaction.

    subscription: `begin`, `end` and `prepare` are for Postgres and not used. rejected: told with
    the state of what was rejected.
    """

    def __init__(
        self,
        topic: MemoryTopic,
        subscription: Subscription,
        state: T,
        rejected: Callable[[T, Sequence[Rejection]], None] = lambda state, rejections: None,
    ):
        self.state = state
        self.outcome = Outcome()
        self.parked: dict[str, HeldSequence] = {}
        self._topic = topic
        self._subscription = subscription
        self._rejected = rejected
        self._offsets = dict.fromkeys(topic.records, 0)
        self._seen: set[tuple[str, str]] = set()
        self._lives: dict[str, Life] = {}
        self._discarded: dict[tuple[int, int], str] = {}
        self._guard = ParkingGuard()

    def run(self) -> None:
        """Apply all that is in the log. Raises TooManyParked."""
        for partition, lane in self._topic.records.items():
            records = lane[self._offsets[partition] :]
            self._apply_or_split(records, self._guard.check)
            self._offsets[partition] = len(lane)

    def redrive(self, key: str) -> int:
        """Handle the held records of a key in order; how many are still held. Raises KeyError."""
        held = self.parked.pop(key)
        self._apply_or_split(held.records, lambda key, reason: None)
        return len(self.parked[key].records) if key in self.parked else 0

    def discard(self, key: str, position: Position, reason: str) -> int:
        """Reject the record that failed, then `redrive`. Raises KeyError if it is another."""
        if self.parked[key].records[0].position != position:
            raise KeyError(position)
        self._discarded[position.partition, position.offset] = reason
        return self.redrive(key)

    def _apply_or_split(
        self, records: Sequence[RawRecord], about_to_park: Callable[[bytes | None, str], None]
    ) -> None:
        """What cannot be handled is parked before anything behind it is tried, as the consumer
        does."""
        failures: dict[Position, Failure] = {}
        left = size = len(records)
        while left:
            batch = records[-left:][:size]
            try:
                self._apply(batch, failures)
            except HandlerFailed as failed:
                about_to_park(failed.record.key, failed.failure.reason)
                failures[failed.record.position] = failed.failure
                size = 1 + next(i for i, r in enumerate(batch) if r is failed.record)
            else:
                left -= len(batch)
                size = left

    def _apply(self, records: Sequence[RawRecord], failures: Mapping[Position, Failure]) -> None:
        outcome = Outcome()
        decoded = decode_all(self._subscription, records, PARTITIONS, outcome)
        known = Known(self._seen, self._lives, self.parked.keys(), self._discarded)
        folded = fold(decoded, known, failures, outcome)
        state = copy.deepcopy(self.state)
        for record, event in folded.events:
            self._handle(record, event, state)
        self._rejected(state, folded.rejections)
        self.state = state
        self._keep(folded)
        self.outcome += outcome

    def _handle(self, record: RawRecord, event: Event, state: T) -> None:
        handler = self._subscription.handlers.get(event.type)
        if handler is None:
            return
        try:
            handler(event, state)
        except Exception as error:  # whatever a handler raises is its record's trouble
            raise HandlerFailed(record, Failure.of(error)) from error

    def _keep(self, folded: Folded) -> None:
        self._seen |= folded.seen.keys()
        self._lives |= folded.lives
        for held in folded.held:
            if held.failure is not None:
                self.parked[held.event.key] = HeldSequence(held.failure)
            self.parked[held.event.key].records.append(held.record)
