"""Partitions of a log, read without a group, on librdkafka's own mock of a broker."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from rollcall_events import KafkaSettings, TopicUnavailable
from rollcall_events.reading import BATCH, LogReader

RECORDS = 2 * BATCH + 500


class MockBroker:
    """Lives as long as the producer that made it."""

    def __init__(self) -> None:
        self._producer: Producer | None = Producer({"test.mock.num.brokers": 1})
        metadata = self._producer.list_topics(timeout=10)
        [broker] = metadata.brokers.values()
        self.settings = KafkaSettings(f"{broker.host}:{broker.port}")
        for n in range(RECORDS):
            self._producer.produce("users", f"{n}".encode(), partition=n % 2)
        assert self._producer.flush(20) == 0

    def kill(self) -> None:
        self._producer = None


@pytest.fixture
def broker() -> Iterator[MockBroker]:
    broker = MockBroker()
    yield broker
    broker.kill()


def test_one_partition_after_the_other_is_read_to_where_it_was_asked(broker: MockBroker) -> None:
    with LogReader(broker.settings, "users") as reader:
        for partition, start, end in ((0, 0, RECORDS // 2), (1, 3, 8), (0, 1_000, 1_001)):
            read = [r for batch in reader.read(partition, start, end) for r in batch]
            assert [r.offset for r in read] == list(range(start, end))
            assert {r.partition for r in read} == {partition}
            assert read[0].value == f"{start * 2 + partition}".encode()


def test_it_ends_where_the_log_does(broker: MockBroker) -> None:
    with LogReader(broker.settings, "users") as reader:
        assert sum(map(len, reader.read(0, 0, 10 * RECORDS))) == RECORDS // 2
        assert [len(batch) for batch in reader.read(1, 0, 0)] == []


def test_a_broker_that_goes_away_meanwhile_is_told(broker: MockBroker) -> None:
    with LogReader(broker.settings, "users") as reader:
        assert sum(map(len, reader.read(0, 0, 10))) == 10
        broker.kill()
        reader._patience = 0.5  # not sooner: to connect may take longer
        with pytest.raises(TopicUnavailable, match=r"partition 1 read up to offset 0; is Kafka"):
            assert not any(reader.read(1, 0, 10))
