"""Behind the last record of a partition there may be what is no record: its end is reached all the
same, and whoever waits for it does not wait for ever."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from integration.test_consuming import consuming, create, joined, names, update
from integration.test_consuming import publisher as publisher  # the fixtures
from integration.test_consuming import store as store
from integration.test_unfetched import came_to
from integration.transactions import in_a_transaction
from sqlalchemy import Engine, text
from support.waiting import eventually

from rollcall_events import (
    KafkaSettings,
    Publisher,
    Topic,
    TopicUnavailable,
    committed_offsets,
    log_ends,
)
from rollcall_events.codec import RawRecord
from rollcall_events.inbox import StaleOwner
from rollcall_events.reading import LogReader
from rollcall_events.session import Session
from rollcall_events.topic import ensure_topic

pytestmark = pytest.mark.usefixtures("apache_kafka")


@pytest.fixture
def made(kafka_settings: KafkaSettings, topic: str) -> Topic:
    """Led by somebody, as every broker knows."""
    made = ensure_topic(kafka_settings, topic, deadline=20)
    eventually(lambda: _is_led(kafka_settings, made))
    return made


def _is_led(settings: KafkaSettings, topic: Topic) -> bool:
    try:
        return len(log_ends(settings, topic)) == topic.partitions
    except TopicUnavailable:
        return False


@pytest.mark.parametrize("abort", [False, True])
def test_the_stored_offsets_reach_the_end_of_the_log(
    kafka_settings: KafkaSettings,
    store: Engine,
    topic: str,
    publisher: Publisher,
    made: Topic,
    abort: bool,
) -> None:
    key = create(publisher)
    in_a_transaction(kafka_settings, topic, key.encode(), abort=abort)
    eventually(lambda: list(ended(kafka_settings, made).values()) == [3])  # marked, in a moment
    with consuming(kafka_settings, store, topic) as consumer:
        eventually(lambda: stored(store) == ended(kafka_settings, made))
        eventually(lambda: told(kafka_settings, made) == ended(kafka_settings, made))
        eventually(lambda: came_to(consumer) == (1, 0 if abort else 1))
        eventually(lambda: consumer.status().lag_records == 0)
    with consuming(kafka_settings, store, topic):
        update(publisher, key, "1")
        eventually(lambda: names(store, key) == ["0", "1"])
        in_a_transaction(kafka_settings, topic, key.encode(), abort=abort)
        update(publisher, key, "2")
        eventually(lambda: names(store, key) == ["0", "1", "2"])
    with LogReader(kafka_settings, topic) as reader:
        (partition,) = stored(store)
        read = [record.offset for batch in reader.read(partition, 0, 3) for record in batch]
    assert read == ([0] if abort else [0, 1])


def test_what_comes_after_an_end_and_a_pause_is_applied(
    kafka_settings: KafkaSettings, store: Engine, topic: str, made: Topic
) -> None:
    with at_a_mark(kafka_settings, store, made) as session:
        session.keep_place()
        in_a_transaction(kafka_settings, topic)
        session.resume()
        eventually(lambda: fetched(session) == 2)
        first, second = session.in_hand
        assert second.offset == first.offset + 2


def test_what_is_in_hand_is_applied_first(
    kafka_settings: KafkaSettings, store: Engine, made: Topic
) -> None:
    with at_a_mark(kafka_settings, store, made) as session:
        (record,) = session.in_hand
        session.move_over_marks()
        assert stored(store) == {}
        apply(store, session, record)
        session.move_over_marks()
        assert stored(store) == ended(kafka_settings, made) == {record.partition: record.offset + 2}
        assert session.positions[record.partition] == record.offset + 2


def test_a_mark_with_records_behind_it_is_passed_with_them(
    kafka_settings: KafkaSettings, store: Engine, topic: str, made: Topic
) -> None:
    with at_a_mark(kafka_settings, store, made) as session:
        in_a_transaction(kafka_settings, topic)
        eventually(lambda: fetched(session) == 2)
        for record in session.in_hand:
            apply(store, session, record)
        eventually(lambda: mark_seen(session))
        session.move_over_marks()
        assert stored(store) == ended(kafka_settings, made)


def test_a_stale_owner_moves_nothing(
    kafka_settings: KafkaSettings, store: Engine, made: Topic
) -> None:
    with at_a_mark(kafka_settings, store, made) as session:
        session.in_hand.clear()
        with store.begin() as connection:
            connection.execute(text("UPDATE offsets SET next_offset = 7"))
        before = stored(store)
        with pytest.raises(StaleOwner):
            session.move_over_marks()
        assert stored(store) == before


@contextmanager
def at_a_mark(settings: KafkaSettings, store: Engine, topic: Topic) -> Iterator[Session]:
    """With the one record of a transaction in hand."""
    in_a_transaction(settings, topic.name)
    with joined(settings, store, topic) as session:
        eventually(lambda: mark_seen(session))
        yield session


def mark_seen(session: Session) -> bool:
    session.fetch(10, 0.1)
    return bool(session.marked_ends)


def fetched(session: Session) -> int:
    session.fetch(10, 0.1)
    return len(session.in_hand)


def apply(store: Engine, session: Session, record: RawRecord) -> None:
    with store.begin() as connection:
        connection.execute(
            text("UPDATE offsets SET next_offset = :next WHERE partition = :partition"),
            {"next": record.offset + 1, "partition": record.partition},
        )
    session.in_hand = [r for r in session.in_hand if r is not record]
    session.applied([record])


def stored(store: Engine) -> dict[int, int]:
    with store.connect() as connection:
        rows = connection.execute(text("SELECT partition, next_offset FROM offsets"))
        return {row.partition: row.next_offset for row in rows if row.next_offset}


def ended(settings: KafkaSettings, topic: Topic) -> dict[int, int]:
    return {partition: end for partition, end in log_ends(settings, topic).items() if end}


def told(settings: KafkaSettings, topic: Topic) -> dict[int, int]:
    return committed_offsets(settings, f"group-{topic.name}", topic)
