"""The log as a stranger sees it: a plain Kafka client, and nothing of the events library."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

TOPIC = "users"
PARTITIONS = 50
_SCRATCH = "scratch"
_WITHIN = 20.0  # seconds


def records_of(servers: str, key: str) -> list[Message]:
    """All records with this key, wherever they stand in the topic."""
    with _reader(servers) as consumer:
        ends = _ends(consumer)
        consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in ends])
        return [message for message in _read(consumer, ends) if message.key() == key.encode()]


def partition_of(servers: str, key: str) -> int:
    """Where the Java client's partitioner, as librdkafka has it, puts a key among PARTITIONS."""
    admin = AdminClient({"bootstrap.servers": servers})
    if _SCRATCH not in admin.list_topics(timeout=_WITHIN).topics:
        topic = NewTopic(_SCRATCH, num_partitions=PARTITIONS, replication_factor=1)
        admin.create_topics([topic])[_SCRATCH].result(_WITHIN)
    producer = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random"})
    places: list[int | None] = []
    producer.produce(_SCRATCH, key=key, on_delivery=lambda _, m: places.append(m.partition()))
    assert producer.flush(_WITHIN) == 0
    (place,) = places
    assert place is not None
    return place


@contextmanager
def _reader(servers: str) -> Iterator[Consumer]:
    settings = {"bootstrap.servers": servers, "group.id": "a-stranger", "enable.auto.commit": False}
    consumer = Consumer(settings | {"auto.offset.reset": "error"})
    try:
        yield consumer
    finally:
        consumer.close()


def _ends(consumer: Consumer) -> dict[int, int]:
    """Partition → the offset after its last record, of those that have records."""
    places = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
    marks = {p.partition: consumer.get_watermark_offsets(p, timeout=_WITHIN) for p in places}
    return {partition: high for partition, (low, high) in marks.items() if high > low}


def _read(consumer: Consumer, ends: dict[int, int]) -> Iterator[Message]:
    """Every record before `ends`."""
    deadline = time.monotonic() + _WITHIN
    left = dict(ends)
    while left:
        assert time.monotonic() < deadline, f"partitions not read to their end: {sorted(left)}"
        for message in consumer.consume(500, timeout=1):
            assert message.error() is None, message.error()
            yield message
            partition, offset = message.partition(), message.offset()
            if partition in left and offset is not None and offset + 1 >= left[partition]:
                del left[partition]
