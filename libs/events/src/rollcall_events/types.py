"""The event table: every type that may be published, and the one rule of its aggregate's life.

Adding an event is a message in events.proto and a line here. One whose meaning changes gets a new
type; the old one moves to the table of upcasters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from google.protobuf.message import Message

from rollcall.users.v1 import events_pb2 as pb


class Lifecycle(Enum):
    """What an event needs of its aggregate, and what it makes of it (design: §4 rejection).

    This is a rule of one aggregate, so the order inside a partition settles it, the same in
    every group. It never changes for a published type.
    """

    BEGINS = "the aggregate must not have existed; it lives afterwards"
    CONTINUES = "the aggregate must live, and goes on living"
    ENDS = "the aggregate must live; nothing follows"


@dataclass(frozen=True)
class EventType:
    name: str
    message: type[Message]
    collection: str  # of the aggregate: users, roles; the first part of ce_subject
    lifecycle: Lifecycle
    versioned: bool = True  # a fact without a version raises no version

    @cached_property
    def id_field(self) -> str:
        """The message's field that holds the aggregate's id."""
        return self.collection.removesuffix("s") + "_id"

    @cached_property
    def other_ids(self) -> Sequence[str]:
        """The message's fields that hold ids of other aggregates."""
        names = [field.name for field in self.message.DESCRIPTOR.fields]
        return [name for name in names if name.endswith("_id") and name != self.id_field]


PREFIX = "rollcall.users.v1."

EVENT_TYPES: Mapping[str, EventType] = {
    t.name: t
    for t in (
        EventType(PREFIX + "UserCreatedEvent", pb.UserCreatedEvent, "users", Lifecycle.BEGINS),
        EventType(PREFIX + "UserUpdatedEvent", pb.UserUpdatedEvent, "users", Lifecycle.CONTINUES),
        EventType(PREFIX + "UserDeletedEvent", pb.UserDeletedEvent, "users", Lifecycle.ENDS),
        EventType(
            PREFIX + "UserLoggedInEvent",
            pb.UserLoggedInEvent,
            "users",
            Lifecycle.CONTINUES,
            versioned=False,
        ),
        EventType(
            PREFIX + "RoleAssignedToUserEvent",
            pb.RoleAssignedToUserEvent,
            "users",
            Lifecycle.CONTINUES,
        ),
        EventType(
            PREFIX + "RoleUnassignedFromUserEvent",
            pb.RoleUnassignedFromUserEvent,
            "users",
            Lifecycle.CONTINUES,
        ),
        EventType(PREFIX + "RoleCreatedEvent", pb.RoleCreatedEvent, "roles", Lifecycle.BEGINS),
        EventType(PREFIX + "RoleUpdatedEvent", pb.RoleUpdatedEvent, "roles", Lifecycle.CONTINUES),
        EventType(PREFIX + "RoleDeletedEvent", pb.RoleDeletedEvent, "roles", Lifecycle.ENDS),
    )
}

_BY_MESSAGE = {t.message: t for t in EVENT_TYPES.values()}


def type_of(message: Message) -> EventType:
    """The entry of a message. Raises KeyError for a message that is no event."""
    return _BY_MESSAGE[type(message)]
