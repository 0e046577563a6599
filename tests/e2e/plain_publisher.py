"""A program of another team: one record, appended with a Kafka client and nothing else."""

import json
import sys
from typing import Any

from confluent_kafka import Message, Producer


def main(servers: str, record: dict[str, Any]) -> None:
    producer = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random"})
    place: list[int | None] = []

    def delivered(error: object, message: Message) -> None:
        assert error is None, error
        place.extend([message.partition(), message.offset()])

    producer.produce(
        "users",
        key=record["key"],
        value=bytes.fromhex(record["value"]),
        headers=record["headers"],
        partition=record.get("partition", -1),
        on_delivery=delivered,
    )
    assert producer.flush(20) == 0
    json.dump(place, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))
