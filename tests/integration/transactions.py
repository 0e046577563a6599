"""Records as a producer with Kafka's transactions appends them: each leaves a mark behind them."""

from confluent_kafka import Producer

from rollcall_events import KafkaSettings


def in_a_transaction(
    settings: KafkaSettings,
    topic: str,
    value: bytes,
    key: bytes = b"nobody",
    *,
    abort: bool = False,
) -> None:
    """One record that is no event, as the last before its partition's end."""
    producer = Producer(settings.common() | {"transactional.id": f"test-{topic}"})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, value, key)
    producer.flush(10)
    (producer.abort_transaction if abort else producer.commit_transaction)(10)
