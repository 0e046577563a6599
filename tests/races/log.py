"""What the log says, read by a plain Kafka client."""

import time
from collections import Counter
from collections.abc import Iterator

from confluent_kafka import Consumer, Message, TopicPartition

from rollcall.users.v1.events_pb2 import UserCreatedEvent

_TOPIC = "users"
_WITHIN = 60.0  # seconds


def creations(servers: str) -> Counter[str]:
    """E-mail → how many events in the whole log created a user with it, copies included."""
    settings = {"bootstrap.servers": servers, "group.id": "races", "enable.auto.commit": False}
    consumer = Consumer(settings | {"auto.offset.reset": "error"})
    try:
        return Counter(_email(message) for message in _records(consumer) if _creates(message))
    finally:
        consumer.close()


def _creates(message: Message) -> bool:
    headers = dict(message.headers() or ())
    return headers.get("ce_type") == UserCreatedEvent.DESCRIPTOR.full_name.encode()


def _email(message: Message) -> str:
    return UserCreatedEvent.FromString(message.value() or b"").person.email


def _records(consumer: Consumer) -> Iterator[Message]:
    """Every record up to the ends of the partitions as they are now."""
    partitions = consumer.list_topics(_TOPIC, timeout=_WITHIN).topics[_TOPIC].partitions
    places = [TopicPartition(_TOPIC, partition, 0) for partition in partitions]
    marks = {p.partition: consumer.get_watermark_offsets(p, timeout=_WITHIN) for p in places}
    left = {partition: high for partition, (low, high) in marks.items() if high > low}
    consumer.assign([place for place in places if place.partition in left])
    end = time.monotonic() + _WITHIN
    while left:
        assert time.monotonic() < end, f"partitions not read to their end: {sorted(left)}"
        for message in consumer.consume(1_000, timeout=0.5):
            assert message.error() is None, message.error()
            yield message
            partition, offset = message.partition(), message.offset()
            if partition in left and offset is not None and offset + 1 >= left[partition]:
                del left[partition]
