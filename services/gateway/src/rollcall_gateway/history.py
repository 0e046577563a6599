"""An event of the history, as the API shows it."""

from typing import Annotated, Any, cast

import msgspec

from rollcall.users.v1.queries_pb2 import HistoryEvent
from rollcall_gateway.representations import Id, Time, time_of

Subject = Annotated[str, msgspec.Meta(examples=["users/01a20804-f721-78eb-a684-9283e2d004b8"])]


class Actor(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(description="users/<id>, tokens/<id> or services/<name>.")]
    name: Annotated[str | None, msgspec.Meta(description="The user's, also after its deletion.")]


class Change(msgspec.Struct):
    """null: the field was not there before, or is not any more."""

    field: str
    old: Any
    new: Any


class Position(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class Event(msgspec.Struct):
    """type and subject are null where a record of the log is no event."""

    id: Id | None
    type: Annotated[str | None, msgspec.Meta(examples=["rollcall.users.v1.UserCreatedEvent"])]
    version: Annotated[int | None, msgspec.Meta(description="That the event gave its subject.")]
    recorded_at: Time
    occurred_at: Annotated[Time | None, msgspec.Meta(description="By the publisher's clock.")]
    actor: Actor | None
    correlation_id: str | None
    causation_id: str | None
    subject: Subject | None
    rejected: Annotated[str | None, msgspec.Meta(description="Why it changed nothing.")]
    changes: list[Change]
    position: Position


class Events(msgspec.Struct):
    events: list[Event]
    next_page_token: str | None


def event(message: HistoryEvent, topic: str) -> Event:
    return Event(
        id=message.id or None,
        type=message.type or None,
        version=message.version or None,
        recorded_at=str(time_of(message, "recorded_at")),
        occurred_at=time_of(message, "occurred_at"),
        actor=Actor(message.actor, message.actor_name or None) if message.actor else None,
        correlation_id=message.correlation_id or None,
        causation_id=message.causation_id or None,
        subject=message.subject or None,
        rejected=message.rejected or None,
        # Already JSON, of the form that the type says; it goes out as it came.
        changes=cast("list[Change]", msgspec.Raw(message.changes.encode() or b"[]")),
        position=Position(topic, message.partition, message.offset),
    )
