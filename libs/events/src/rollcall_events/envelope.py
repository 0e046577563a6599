"""What surrounds a domain event: who, when, why, and where in the log it stands."""

from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import Message

Headers = tuple[tuple[str, bytes], ...]

IMPORTS = "/imports/"  # and a label: the source of the events of an import


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
    source: str  # /services/<name>, or /imports/<label>
    time: datetime  # the publisher's clock
    message: Message
    sequence: int | None = None  # the aggregate's version as admitted
    actor: str | None = None  # users/<id>, tokens/<id> or services/<name>
    command_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None

    @property
    def imported(self) -> bool:
        """Whether the event is of an import: its source is /imports/<label>.

        Such an event changes what every event of its type changes. But it brings in what is true
        already, so nobody is told of it: what a group would send for it is settled unsent.
        """
        return self.source.startswith(IMPORTS)


@dataclass(frozen=True, kw_only=True)
class Event(UnpublishedEvent):
    """An event as it was read from the log."""

    position: Position
    recorded_at: datetime  # the broker's append time
