"""The events of one user or role as the log has them; no read store is asked.

What was discarded by hand stands beside the log, and is looked up. An event of a type that this
version does not know, and what follows it, is shown to wait: it has changed nothing here.
"""

from collections.abc import Generator, Sequence

from sqlalchemy import Engine

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_events import PARTITIONS, KafkaSettings, Subscription, log_ends
from rollcall_events.folding import Held
from rollcall_events.partitioner import partition_of
from rollcall_events.reading import LogReader
from rollcall_events.topic import ensure_topic
from rollcall_service.operators import Missing
from rollcall_user_management.projection import tables
from rollcall_user_management.representations import subject_of, timestamp
from rollcall_user_management.verification.folding import PartitionFold
from rollcall_user_management.verification.snapshot import discarded

_ANSWER = 5.0  # seconds for Kafka to say what there is


def timeline(
    engine: Engine, settings: KafkaSettings, subscription: Subscription, key: str
) -> Generator[pb.HistoryEvent | None, None, None]:
    """In the log's order up to its end as it is now; None where nothing came for a moment. Raises
    Missing, TopicUnavailable."""
    topic = ensure_topic(settings, subscription.topic, deadline=_ANSWER)
    partition = partition_of(key.encode(), PARTITIONS)
    end = log_ends(settings, topic)[partition]
    with engine.connect() as connection:
        by_hand = discarded(connection, subscription.discards)
    fold = PartitionFold(subscription, partition, {}, by_hand)
    waiting = 0
    with LogReader(settings, topic.name) as reader:
        for records in reader.read(partition, 0, end):
            of_key = [record for record in records if record.key == key.encode()]
            rows = [row for row in fold.take(of_key) if row[2] is not None]
            yield from map(_event, sorted(rows))
            held = fold.held.get(key, [])
            yield from (_held(one, held[0]) for one in held[waiting:])
            waiting = len(held)
            yield None
    if not fold.inbox and not fold.held:
        raise Missing(f"the log has no event of {key}")


def _event(row: tables.Row) -> pb.HistoryEvent:
    told = dict(zip(_COLUMNS, row, strict=True))
    return pb.HistoryEvent(
        id=told["event_id"],
        type=told["type"],
        version=told["version"],
        recorded_at=timestamp(told["recorded_at"]),
        occurred_at=timestamp(told["occurred_at"]),
        actor=told["actor"],
        correlation_id=told["correlation_id"],
        causation_id=told["causation_id"],
        subject=subject_of(told["type"], told["key"]),
        rejected=told["rejected"],
        changes=told["changes"],
        partition=told["partition"],
        offset=told["offset"],
    )


def _held(held: Held, first: Held) -> pb.HistoryEvent:
    event, place = held.event, first.record.position
    failure = held.failure
    why = failure.reason if failure else f"waits behind {place.partition}/{place.offset}"
    return _event(tables.rejected_row(event, event.recorded_at, f"not applied: {why}"))


_COLUMNS: Sequence[str] = [name.strip('"') for name in tables.HISTORY]
