"""A process that reads the log with the client library and parses it, and does nothing else.

Prints the seconds from the first record to the last.
"""

import sys
import time
from typing import Any

from confluent_kafka import Consumer

from rollcall_events import EVENT_TYPES

BATCH = 5_000
WITHIN = 120.0  # seconds, for all


def main(servers: str, group: str, wanted: int) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["users"])
    end = time.monotonic() + WITHIN
    began, count = 0.0, 0
    while count < wanted:
        if time.monotonic() > end:
            raise SystemExit(f"{count} of {wanted} records in {WITHIN:.0f} s")
        messages = consumer.consume(BATCH, 0.1)
        if messages and not began:
            began = time.perf_counter()
        for message in messages:
            parse(message.headers(), message.value())
        count += len(messages)
    print(time.perf_counter() - began)  # noqa: T201  (the answer)
    consumer.close()


def parse(headers: Any, value: bytes | None) -> object:
    """The message of a record, by its type's header."""
    type_ = EVENT_TYPES[dict(headers or ())["ce_type"].decode()]
    return type_.message.FromString(value or b"")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
