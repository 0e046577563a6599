"""What surrounds a domain event: who, when, why, and where in the log it stands."""

from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import Message

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, order=True)
class Position:
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class Recorded:
    """The broker's acknowledgement: the event stands in the log, for good."""

    position: Position
    recorded_at: datetime  # the broker's append time


@dataclass(frozen=True)
class Record:
    """A record as it goes on the wire, and as an admission keeps it to append it again."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, kw_only=True)
class UnpublishedEvent:
    """An event before it is in the log. `key` is the aggregate's id, a UUID in canonical form."""

    id: str  # UUIDv7; with the key, the identity that every consumer deduplicates on
    type: str
    key: str
    source: str  # /services/<name>
    time: datetime  # the publisher's clock
    message: Message
    sequence: int | None = None  # the aggregate's version as admitted
    actor: str | None = None  # users/<id>, tokens/<id> or services/<name>
    command_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


@dataclass(frozen=True, kw_only=True)
class Event(UnpublishedEvent):
    """An event as it was read from the log."""

    position: Position
    recorded_at: datetime  # the broker's append time
