"""What surrounds a domain event: who, when, why, and where in the log it stands.

Nothing here is changed once it is made, which type checkers know. At run time nothing hinders it,
because a consumer makes some of these for each record: a frozen dataclass takes three times as
long to make as one that is not, and a named tuple is faster still.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar, dataclass_transform

from google.protobuf.message import Message

T = TypeVar("T")
Headers = tuple[tuple[str, bytes], ...]

IMPORTS = "/imports/"  # and a label: the source of the events of an import


class Position(NamedTuple):
    topic: str
    partition: int
    offset: int


@dataclass_transform(frozen_default=True, kw_only_default=True)
def _unchanging(cls: type[T]) -> type[T]:
    return dataclass(kw_only=True)(cls)


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


@_unchanging
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


@_unchanging
class Event(UnpublishedEvent):
    """An event as it was read from the log."""

    position: Position
    recorded_at: datetime  # the broker's append time
