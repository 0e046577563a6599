"""The table of upcasters: what older versions published, and what it means today (design §3).

A meaning that changes gets a new type. The old one stays in the log for ever, so it is read for
ever: decoding makes the present event of it, and whatever is behind that - handlers, the history,
a redrive, a rebuild - has only ever seen present types. The history therefore names the present
type too. What an event is known by does not change: its id, its key and its place in the log, so a
second copy is dropped as ever.

No rejection changes either: the old type's bytes are checked as they always were, and its rule of
life is also that of the present type (a test holds the table to it).

To change a meaning: a new message in the newest events.proto, with its line in EVENT_TYPES; the old
type's line moves here, with a function; its golden file stays where it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message

from rollcall.users.v0 import events_pb2 as v0
from rollcall.users.v1 import events_pb2 as v1
from rollcall_events.envelope import Event
from rollcall_events.types import EVENT_TYPES, EventType, Lifecycle, type_of


@dataclass(frozen=True)
class Upcaster:
    """old: as it stands in the log. turn: the message of the present type that says the same; it
    depends on nothing else, and fails for no message that the type could carry."""

    old: EventType
    turn: Callable[[Any], Message]


def _registered(event: v0.UserRegisteredEvent) -> v1.UserCreatedEvent:
    person = v1.Person(email=event.email, name=event.name)
    return v1.UserCreatedEvent(user_id=event.user_id, person=person)


UPCASTERS: Mapping[str, Upcaster] = {
    u.old.name: u
    for u in (
        Upcaster(
            EventType(
                "rollcall.users.v0.UserRegisteredEvent",
                v0.UserRegisteredEvent,
                "users",
                Lifecycle.BEGINS,
            ),
            _registered,
        ),
    )
}

READ_TYPES: Mapping[str, EventType] = {
    **EVENT_TYPES,
    **{name: upcaster.old for name, upcaster in UPCASTERS.items()},
}


def upcast(event: Event) -> Event:
    """The present event of one whose type is in the table."""
    message = UPCASTERS[event.type].turn(event.message)
    return replace(event, type=type_of(message).name, message=message)


def present_message(type_name: str, value: bytes) -> Message:
    """What the value of an event says today. Raises KeyError for an unknown type, DecodeError."""
    message = READ_TYPES[type_name].message()
    message.ParseFromString(value)
    return UPCASTERS[type_name].turn(message) if type_name in UPCASTERS else message
