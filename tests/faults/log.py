"""The whole log, read by a plain client and decoded with nothing but the contracts."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

from confluent_kafka import Consumer, Message, TopicPartition
from google.protobuf.message import Message as Event

from rollcall.users.v1 import events_pb2

TOPIC = "users"
PARTITIONS = 50
PREFIX = "rollcall.users.v1."
_WITHIN = 60.0  # seconds without a record


@dataclass(frozen=True, slots=True)
class Record:
    """type: without the package. sequence: the version as admitted. recorded_ms: the broker's.
    What is absent is empty: others may append anything."""

    partition: int
    offset: int
    key: str
    id: str
    type: str
    sequence: int | None
    correlation: str
    recorded_ms: int
    value: bytes

    @property
    def known(self) -> bool:
        """Whether this version has its type."""
        return hasattr(events_pb2, self.type)

    @property
    def event(self) -> Any:
        message: Event = getattr(events_pb2, self.type).FromString(self.value)
        return message


def ends(servers: str) -> dict[int, int]:
    """Partition → the offset after its last record."""
    with closing(_reader(servers)) as reader:
        return _ends(reader)


def records(servers: str) -> list[Record]:
    """Every record from offset 0 on, in order of partition and offset."""
    with closing(_reader(servers)) as reader:
        left = {partition: end for partition, end in _ends(reader).items() if end}
        reader.assign([TopicPartition(TOPIC, partition, 0) for partition in left])
        return sorted(_read(reader, left), key=lambda r: (r.partition, r.offset))


def _reader(servers: str) -> Consumer:
    settings = {"bootstrap.servers": servers, "group.id": "checker", "enable.auto.commit": False}
    return Consumer(settings | {"auto.offset.reset": "error"})


def _ends(reader: Consumer) -> dict[int, int]:
    places = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
    return {p.partition: reader.get_watermark_offsets(p, timeout=_WITHIN)[1] for p in places}


def _read(reader: Consumer, left: dict[int, int]) -> Iterator[Record]:
    deadline = time.monotonic() + _WITHIN
    while left:
        assert time.monotonic() < deadline, f"partitions not read to their end: {sorted(left)}"
        for message in reader.consume(2_000, timeout=1):
            assert message.error() is None, message.error()
            record = _record(message)
            deadline = time.monotonic() + _WITHIN
            if record.offset + 1 == left.get(record.partition):
                del left[record.partition]
            yield record


def _record(message: Message) -> Record:
    pairs = cast("list[tuple[str, bytes]]", message.headers() or [])
    headers = {name: value.decode() for name, value in pairs}
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    sequence = headers.get("ce_sequence")
    return Record(
        partition=partition,
        offset=offset,
        key=(message.key() or b"").decode(),
        id=headers.get("ce_id", ""),
        type=headers.get("ce_type", "").removeprefix(PREFIX),
        sequence=None if sequence is None else int(sequence),
        correlation=headers.get("ce_correlationid", ""),
        recorded_ms=message.timestamp()[1],
        value=message.value() or b"",
    )
