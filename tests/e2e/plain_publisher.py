"""A program of another team: one record, appended with a Kafka client and nothing else."""

import json
import sys
from typing import Any

from confluent_kafka import Message, Producer


def append(servers: str, record: dict[str, Any]) -> tuple[int, int]:
    """Append a record as `publish_plainly` takes it; its partition and offset."""
    producer = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random"})
    places: list[tuple[int | None, int | None]] = []

    def delivered(error: object, message: Message) -> None:
        assert error is None, error
        places.append((message.partition(), message.offset()))

    producer.produce(
        "users",
        key=record["key"],
        value=bytes.fromhex(record["value"]),
        headers=record["headers"],
        partition=record.get("partition", -1),
        on_delivery=delivered,
    )
    assert producer.flush(20) == 0
    ((partition, offset),) = places
    assert partition is not None
    assert offset is not None
    return partition, offset


if __name__ == "__main__":
    json.dump(append(sys.argv[1], json.load(sys.stdin)), sys.stdout)
