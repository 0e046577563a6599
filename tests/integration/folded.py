"""A read store that was folded from a log of the test's own, without Kafka."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message
from sqlalchemy import Engine, text

from rollcall_events import Position, UnpublishedEvent
from rollcall_events.codec import RawRecord, encode
from rollcall_events.folding import Failure
from rollcall_events.ids import uuid7
from rollcall_events.inbox import NO_FAILURES, apply, connect
from rollcall_events.partitioner import partition_of
from rollcall_events.types import type_of
from rollcall_user_management.projection.handlers import subscription

START = datetime(2026, 1, 1, tzinfo=UTC)
GROUP = subscription("user_management_g1")
PARTITIONS = 50


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def records(published: Sequence[tuple[Message, str | None]]) -> list[RawRecord]:
    """The log of these messages and their actors, one recorded a second."""
    lengths: dict[int, int] = {}
    made = []
    for second, (message, actor) in enumerate(published):
        type_ = type_of(message)
        event = UnpublishedEvent(
            id=uuid7(),
            type=type_.name,
            key=getattr(message, type_.id_field),
            source="/services/test",
            time=START,
            message=message,
            actor=actor,
        )
        record = encode(event, "users")
        partition = partition_of(record.key, PARTITIONS)
        offset = lengths.get(partition, 0)
        lengths[partition] = offset + 1
        stamp = int(at(second).timestamp() * 1000)
        made.append(
            RawRecord("users", partition, offset, record.key, record.value, record.headers, stamp)
        )
    return made


def fold(
    store: Engine,
    log: Sequence[RawRecord],
    failing: Mapping[Position, Failure] = NO_FAILURES,
) -> None:
    """All of it, as one batch from the beginning."""
    with store.begin() as connection:
        connection.execute(
            text("INSERT INTO offsets SELECT 'users', p, 0, 'id' FROM generate_series(0, 49) p")
        )
    starts = dict.fromkeys((r.partition for r in log), 0)
    with connect(store, GROUP) as wire:
        apply(wire, GROUP, log, starts, PARTITIONS, failing)
