"""A program of another team: one event, published with the events library."""

import json
import sys
from typing import Any

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import KafkaSettings, Publisher


def main(servers: str, user: dict[str, Any]) -> None:
    person = pb.Person(email=user["email"], name=user["name"])
    publisher = Publisher(KafkaSettings(servers), "users", source="/services/directory")
    publisher.start()
    try:
        event = pb.UserCreatedEvent(user_id=user["id"], person=person)
        recorded = publisher.publish(event, actor="services/directory").result(20)
    finally:
        publisher.stop()
    json.dump([recorded.position.partition, recorded.position.offset], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))
