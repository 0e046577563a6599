"""Records as a producer with Kafka's transactions appends them: each leaves a mark behind them."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

from rollcall_events import KafkaSettings


@contextmanager
def open_transaction(settings: KafkaSettings, topic: str, key: bytes) -> Iterator[Producer]:
    """With one record in the log that is no event, in the partition of the key."""
    own = {"transactional.id": f"test-{topic}", "partitioner": "murmur2_random"}
    producer = Producer(settings.common() | own)
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, b"no event", key)
    assert producer.flush(10) == 0
    yield producer


def in_a_transaction(
    settings: KafkaSettings, topic: str, key: bytes = b"nobody", *, abort: bool = False
) -> None:
    with open_transaction(settings, topic, key) as producer:
        (producer.abort_transaction if abort else producer.commit_transaction)(10)
