"""The wire form: CloudEvents 1.0, Kafka protocol binding, binary mode, protobuf value.

`encode` and `decode` are inverse, but for types that are only read any more (upcasting.py). What
`decode` refuses is wrong for ever and for everybody: the refusal is a pure function of the record,
and its reasons are kept in the audit trail.
"""

import math
import re
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import Struct, Value

from rollcall_events.envelope import Event, Position, Record, UnpublishedEvent
from rollcall_events.ids import is_uuid
from rollcall_events.partitioner import partition_of
from rollcall_events.types import EVENT_TYPES, EventType
from rollcall_events.upcasting import READ_TYPES, UPCASTERS, upcast

CONTENT_TYPE = b"application/protobuf"
TYPE_URL = "type.googleapis.com/"
MAX_HEADER_BYTES = 1_024
MAX_TEXT_BYTES = 2_048  # of one string field: what a Postgres index entry can hold
MAX_VALUE_BYTES = 512 * 1_024
_RFC_3339 = re.compile(
    r"(?P<before>\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:)(?P<second>\d\d)(?P<fraction>\.\d{1,12})?"
    r"(?P<zone>[Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)
_AS_WE_WRITE_IT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d\.\d{6}Z", re.ASCII)  # format_time
_KEYS = 10_000  # kept, of those that came last: what hashing one costs is noticed
_LAST_MS = 253_370_764_800_000  # the year 9999


class RawRecord(NamedTuple):
    """A record as a client read it. timestamp_ms: the broker's append time."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] | None  # None: unreadable
    timestamp_ms: int

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset)

    @property
    def recorded_at(self) -> datetime:
        return moment_of(self.timestamp_ms)


class Malformed(Exception):
    """The record is no event of this topic. The message is the reason, free of its content."""


class UnknownType(Exception):
    """A well-formed envelope of a type that this version does not know. event: without what it
    says, which is Empty."""

    def __init__(self, event: Event):
        super().__init__(f"unknown event type {event.type[:200]!r}")
        self.event = event


def encode(event: UnpublishedEvent, topic: str) -> Record:
    """The record of an event. Absent fields have no header."""
    type_ = EVENT_TYPES[event.type]
    texts = {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_type": event.type,
        "ce_source": event.source,
        "ce_subject": f"{type_.collection}/{event.key}",
        "ce_time": format_time(event.time),
        "ce_partitionkey": event.key,
        "ce_dataschema": TYPE_URL + event.type,
        "ce_sequence": None if event.sequence is None else str(event.sequence),
        "ce_actor": event.actor,
        "ce_commandid": event.command_id,
        "ce_correlationid": event.correlation_id,
        "ce_causationid": event.causation_id,
        "traceparent": event.traceparent,
        "tracestate": event.tracestate,
    }
    headers = [("content-type", CONTENT_TYPE)]
    headers += [(name, text.encode()) for name, text in texts.items() if text is not None]
    value = event.message.SerializeToString(deterministic=True)
    return Record(topic, event.key.encode(), value, tuple(headers))


def decode(record: RawRecord, partitions: int) -> Event:
    """The event of a record, of a present type. Raises Malformed, or UnknownType."""
    headers = _headers(record.headers)
    key, home = _key(record.key or b"", partitions)
    if home != record.partition:
        raise Malformed("wrong partition for the key")
    type_name = headers.get("ce_type", "")
    if headers.get("ce_specversion") != "1.0" or not type_name:
        raise Malformed("not a CloudEvent 1.0 in binary mode")
    event_id = headers.get("ce_id", "")
    if not is_uuid(event_id):
        raise Malformed("ce_id is not a UUID")
    type_ = READ_TYPES.get(type_name)
    if type_ is not None and headers.get("ce_subject") != f"{type_.collection}/{key}":
        raise Malformed("the key disagrees with the subject")
    event = Event(
        id=event_id,
        type=type_name,
        key=key,
        source=headers.get("ce_source", ""),
        time=_time(headers.get("ce_time")),
        message=Empty() if type_ is None else _message(record.value, type_, key),
        sequence=_sequence(headers.get("ce_sequence")),
        actor=headers.get("ce_actor"),
        command_id=headers.get("ce_commandid"),
        correlation_id=headers.get("ce_correlationid"),
        causation_id=headers.get("ce_causationid"),
        traceparent=headers.get("traceparent"),
        tracestate=headers.get("tracestate"),
        position=record.position,
        recorded_at=record.recorded_at,
    )
    if type_ is None:
        raise UnknownType(event)
    return upcast(event) if type_name in UPCASTERS else event


def check_readable(event: UnpublishedEvent, record: Record) -> None:
    """Raise Malformed where `decode` would refuse the record of this event for what is in it, but
    for its size."""
    _headers(record.headers)
    _check_message(event.message, record.value, EVENT_TYPES[event.type], event.key)


def moment_of(timestamp_ms: int) -> datetime:
    """Never an error, whatever a producer wrote where the broker keeps the producer's time."""
    if not 0 <= timestamp_ms <= _LAST_MS:
        timestamp_ms = min(max(timestamp_ms, 0), _LAST_MS)
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)


def format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _headers(pairs: Sequence[tuple[str, bytes | None]] | None) -> Mapping[str, str]:
    """The headers that are read, perhaps among others."""
    if pairs is None:
        raise Malformed("a header name is not UTF-8")
    values = [value for _, value in pairs if value is not None]
    joined = b"\0".join(values)
    if len(values) == len(pairs) and len(joined) <= MAX_HEADER_BYTES and joined.isascii():
        texts = joined.decode().split("\0")
        if len(texts) == len(pairs):  # so none contains NUL, and nothing is left to be checked
            return {name: text for (name, _), text in zip(pairs, texts, strict=True)}
    return _headers_one_by_one(pairs)


def _headers_one_by_one(pairs: Sequence[tuple[str, bytes | None]]) -> Mapping[str, str]:
    headers = {}
    for name, value in pairs:
        if value is None or not name.startswith(("ce_", "trace", "content-type")):
            continue
        if len(value) > MAX_HEADER_BYTES or b"\0" in value:
            raise Malformed(f"the header {name[:40]} is too long or contains NUL")
        try:
            headers[name] = value.decode()
        except UnicodeDecodeError:
            raise Malformed(f"the header {name[:40]} is not UTF-8") from None
    return headers


@lru_cache(_KEYS)
def _key(key: bytes, partitions: int) -> tuple[str, int]:
    """The key as text, and the partition it belongs in."""
    if not (key.isascii() and is_uuid(key.decode())):
        raise Malformed("the key is not a UUID")
    return key.decode(), partition_of(key, partitions)


def _time(text: str | None) -> datetime:
    text = text or ""
    try:
        if _AS_WE_WRITE_IT.fullmatch(text):
            return datetime.fromisoformat(text)
        matched = _RFC_3339.fullmatch(text)
        if matched is None:
            raise ValueError
        second = "59" if matched["second"] == "60" else matched["second"]  # a leap second
        moment = datetime.fromisoformat(
            f"{matched['before']}{second}{(matched['fraction'] or '')[:7]}{matched['zone'].upper()}"
        )
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed("ce_time is not an RFC 3339 time") from None


def _sequence(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Malformed("ce_sequence is not a number")
    return int(text)


def _message(value: bytes | None, type_: EventType, key: str) -> Message:
    if value is None or len(value) > MAX_VALUE_BYTES:
        raise Malformed("the value is absent or too large")
    try:
        message = type_.message.FromString(value)
    except DecodeError:
        raise Malformed("the value does not decode") from None
    _check_message(message, value, type_, key)
    return message


def _check_message(message: Message, value: bytes, type_: EventType, key: str) -> None:
    if getattr(message, type_.id_field) != key:
        raise Malformed("the key disagrees with the message")
    for name in type_.other_ids:
        if not is_uuid(getattr(message, name)):
            raise Malformed(f"the field {name} is not a UUID")
    check_storable(message, texts=len(value) > MAX_TEXT_BYTES or b"\0" in value)


def check_storable(message: Message, texts: bool = True) -> None:
    """Raise Malformed for what protobuf can carry and a store cannot: NUL in a text, an index
    entry that is too long, a number that is no JSON number. The limits are every group's.

    texts: false where its fields' texts are known to be good."""
    if isinstance(message, Struct):
        _check_struct(message)
        return
    for name, check in _checks(message.DESCRIPTOR, texts):
        check(message, name)


_Check = Callable[[Message, str], None]
_Checks = Sequence[tuple[str, _Check]]


@cache
def _checks(descriptor: Descriptor, texts: bool) -> _Checks:
    """The fields of a message that can hold such a thing, and what looks for it in each."""
    checks: list[tuple[str, _Check]] = []
    for field in sorted(descriptor.fields, key=lambda field: field.number):
        if field.type == field.TYPE_STRING:
            if texts:
                checks.append((field.name, _check_texts if field.is_repeated else _check_text))
        elif field.type == field.TYPE_MESSAGE and not field.is_repeated:
            if field.message_type == Struct.DESCRIPTOR:
                checks.append((field.name, _check_struct_of))
            elif below := _checks(field.message_type, texts):
                checks.append((field.name, partial(_check_below, below)))
        elif field.enum_type is not None:
            known = frozenset(field.enum_type.values_by_number)
            checks.append((field.name, partial(_check_enum, known)))
    return checks


def _check_below(checks: _Checks, message: Message, name: str) -> None:
    if message.HasField(name):
        below = getattr(message, name)
        for inner, check in checks:
            check(below, inner)


def _check_struct_of(message: Message, name: str) -> None:
    if message.HasField(name):
        _check_struct(getattr(message, name))


def _check_enum(known: Container[int], message: Message, name: str) -> None:
    if getattr(message, name) not in known:
        raise Malformed(f"the field {name} has an unknown value")


def _check_text(message: Message, name: str) -> None:
    text = getattr(message, name)
    long = len(text) > MAX_TEXT_BYTES // 4 and len(text.encode()) > MAX_TEXT_BYTES
    if long or "\0" in text:
        raise Malformed(f"the field {name} is too long or contains NUL")


def _check_texts(message: Message, name: str) -> None:
    for text in getattr(message, name):
        if len(text.encode()) > MAX_TEXT_BYTES or "\0" in text:
            raise Malformed(f"the field {name} is too long or contains NUL")


def _check_struct(struct: Struct) -> None:
    pending = _inside(struct)
    while pending:
        value = pending.pop()
        kind = value.WhichOneof("kind")
        if kind == "struct_value":
            pending += _inside(value.struct_value)
        elif kind == "list_value":
            pending += value.list_value.values
        elif kind is None or (kind == "number_value" and not math.isfinite(value.number_value)):
            raise Malformed("a value is no JSON value")
        elif kind == "string_value" and "\0" in value.string_value:
            raise Malformed("a value contains NUL")


def _inside(struct: Struct) -> list[Value]:
    fields = struct.fields
    if any("\0" in name for name in fields):
        raise Malformed("a name contains NUL")
    return list(fields.values())
