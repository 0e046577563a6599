"""A program of another team: records, appended with a Kafka client and nothing else."""

import json
import sys
from typing import Any

from confluent_kafka import Message, Producer


def append(servers: str, records: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Append records as `publish_plainly` takes them; the partition and offset of each."""
    producer = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random"})
    places: dict[int, tuple[int, int]] = {}

    def append_one(number: int, record: dict[str, Any]) -> None:
        def delivered(error: object, message: Message) -> None:
            assert error is None, error
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            places[number] = (partition, offset)

        producer.produce(
            "users",
            key=record["key"],
            value=bytes.fromhex(record["value"]),
            headers=record["headers"],
            partition=record.get("partition", -1),
            on_delivery=delivered,
        )

    for number, record in enumerate(records):
        append_one(number, record)
    assert producer.flush(20) == 0
    return [places[number] for number in range(len(records))]


if __name__ == "__main__":
    json.dump(append(sys.argv[1], json.load(sys.stdin)), sys.stdout)
