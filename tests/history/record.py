"""Records as a stranger's client writes and reads them, and whether one is an event of the topic.

Written from the contracts alone: what is wrong with a record must not be asked of the code that
is examined.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from google.protobuf.message import DecodeError

from rollcall.users.v1 import events_pb2
from rollcall_events.partitioner import partition_of

PARTITIONS = 50
PREFIX = "rollcall.users.v1."
_WITHIN = 60.0  # seconds without a record, or for the last acknowledgement
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Unsent:
    """partition: None where the partitioner is to choose. recorded_ms: the append time that a topic
    gives it which takes the producer's."""

    key: bytes
    value: bytes
    headers: Headers
    recorded_ms: int
    partition: int | None = None


@dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Headers
    recorded_ms: int

    @cached_property
    def header(self) -> Mapping[str, str]:
        return {name: value.decode() for name, value in self.headers}

    @cached_property
    def event(self) -> Any:
        """The message. Raises DecodeError."""
        return getattr(events_pb2, self.type).FromString(self.value)

    @property
    def type(self) -> str:
        """Without the package."""
        return self.header["ce_type"].removeprefix(PREFIX)

    @property
    def occurred_at(self) -> datetime:
        return datetime.fromisoformat(self.header["ce_time"]).astimezone(UTC)


def problem(record: Record) -> str | None:
    """Why a record is no event of the topic, or None."""
    key, header = record.key.decode(errors="replace"), record.header
    if not _UUID.fullmatch(key):
        return "the key is not a UUID"
    if partition_of(record.key, PARTITIONS) != record.partition:
        return "wrong partition for the key"
    if header.get("ce_specversion") != "1.0":
        return "not a CloudEvent 1.0 in binary mode"
    if not _UUID.fullmatch(header["ce_id"]):
        return "ce_id is not a UUID"
    collection = "roles" if record.type.startswith(("RoleC", "RoleUp", "RoleD")) else "users"
    if header["ce_subject"] != f"{collection}/{key}":
        return "the key disagrees with the subject"
    try:
        record.occurred_at  # noqa: B018  (whether it raises)
    except ValueError:
        return "ce_time is not an RFC 3339 time"
    try:
        named = getattr(record.event, f"{collection[:-1]}_id")
    except DecodeError:
        return "the value does not decode"
    return None if named == key else "the key disagrees with the message"


def append(settings: Mapping[str, Any], topic: str, records: Sequence[Unsent]) -> None:
    """All of them, in this order within a partition, acknowledged."""
    producer = Producer({**settings, "enable.idempotence": True, "linger.ms": 5})
    failed: list[str] = []
    for record in records:
        place = record.partition
        producer.produce(
            topic,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            timestamp=record.recorded_ms,
            partition=partition_of(record.key, PARTITIONS) if place is None else place,
            on_delivery=lambda error, _: failed.append(error.name()) if error else None,
        )
        producer.poll(0)
    assert producer.flush(_WITHIN) == 0, "records are not acknowledged"
    assert not failed, failed


def read(servers: str, topic: str) -> list[Record]:
    """The whole topic, in the order of partition and offset."""
    settings = {"bootstrap.servers": servers, "group.id": "historian", "enable.auto.commit": False}
    with closing(Consumer(settings | {"auto.offset.reset": "error"})) as reader:
        left = {}
        for partition in range(PARTITIONS):
            place = TopicPartition(topic, partition)
            if end := reader.get_watermark_offsets(place, timeout=_WITHIN)[1]:
                left[partition] = end
        reader.assign([TopicPartition(topic, partition, 0) for partition in left])
        return sorted(_read(reader, left), key=lambda r: (r.partition, r.offset))


def _read(reader: Consumer, left: dict[int, int]) -> Iterator[Record]:
    deadline = time.monotonic() + _WITHIN
    while left:
        assert time.monotonic() < deadline, f"partitions not read to their end: {sorted(left)}"
        for message in reader.consume(2_000, timeout=0.2):
            assert message.error() is None, message.error()
            record = _record(message)
            deadline = time.monotonic() + _WITHIN
            if record.offset + 1 == left.get(record.partition):
                del left[record.partition]
            yield record


def _record(message: Any) -> Record:
    headers = tuple((name, value) for name, value in message.headers() or ())
    return Record(
        partition=message.partition(),
        offset=message.offset(),
        key=message.key() or b"",
        value=message.value() or b"",
        headers=headers,
        recorded_ms=message.timestamp()[1],
    )
