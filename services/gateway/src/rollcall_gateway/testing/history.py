"""The double's history: each command that changed something as an event, and what it left."""

import json
from datetime import UTC, datetime
from typing import Any

from rollcall.users.v1 import commands_pb2, queries_pb2

TOPIC = "users"
PREFIX = "rollcall.users.v1."

_EVENTS = {
    commands_pb2.CreateUserRequest: "UserCreatedEvent",
    commands_pb2.UpdateUserRequest: "UserUpdatedEvent",
    commands_pb2.DeleteUserRequest: "UserDeletedEvent",
    commands_pb2.AssignRoleRequest: "RoleAssignedToUserEvent",
    commands_pb2.UnassignRoleRequest: "RoleUnassignedFromUserEvent",
    commands_pb2.CreateRoleRequest: "RoleCreatedEvent",
    commands_pb2.UpdateRoleRequest: "RoleUpdatedEvent",
    commands_pb2.DeleteRoleRequest: "RoleDeletedEvent",
}
_FIELDS = ("email", "name")  # whose changes are told


class History:
    def __init__(self) -> None:
        self.events: list[queries_pb2.HistoryEvent] = []
        self._past: dict[str, list[tuple[datetime, int, Any]]] = {}

    def note(self, request: Any, result: commands_pb2.CommandResult) -> None:
        """A command and its answer; one that changed nothing is no event."""
        collection = "users" if "User" in _EVENTS[type(request)] else "roles"
        subject = f"{collection}/{result.id}"
        shown = getattr(result, str(result.WhichOneof("representation")), None)
        past = self._past.setdefault(subject, [])
        if past and past[-1][1] == result.version:
            return
        now = datetime.now(UTC)
        event = queries_pb2.HistoryEvent(
            id=f"01900000-0000-7000-8000-{len(self.events):012x}",
            type=PREFIX + _EVENTS[type(request)],
            version=result.version,
            actor=request.context.actor,
            correlation_id=request.context.correlation_id,
            subject=subject,
            changes=json.dumps(_changes(past[-1][2] if past else None, shown)),
            partition=result.position.partition,
            offset=result.position.offset,
        )
        event.recorded_at.FromDatetime(now)
        event.occurred_at.FromDatetime(now)
        self.events.append(event)
        copy = None if shown is None else type(shown).FromString(shown.SerializeToString())
        past.append((now, result.version, copy))

    def user(self, request: queries_pb2.GetUserRequest) -> queries_pb2.User | None:
        """As it was; None where it was not, or was deleted."""
        at = request.at.ToDatetime(UTC)
        found = [
            user
            for then, version, user in self._past.get(f"users/{request.id}", [])
            if (then <= at if request.HasField("at") else version == request.version)
        ]
        return found[-1] if found else None

    def chosen(self, request: queries_pb2.ListEventsRequest) -> list[queries_pb2.HistoryEvent]:
        """In the order that is asked for."""
        found = [e for e in self.events if _selected(e, request)]
        return found[::-1] if request.order_by.startswith("-") else found


def _selected(event: queries_pb2.HistoryEvent, asked: queries_pb2.ListEventsRequest) -> bool:
    then = event.recorded_at.ToDatetime(UTC)
    return (
        (not asked.HasField("type") or asked.type in (event.type, event.type.split(".")[-1]))
        and (not asked.HasField("actor") or asked.actor == event.actor)
        and (not asked.HasField("subject") or asked.subject == event.subject)
        and (not asked.HasField("since") or asked.since.ToDatetime(UTC) <= then)
        and (not asked.HasField("until") or then <= asked.until.ToDatetime(UTC))
    )


def _changes(before: Any, after: Any) -> list[dict[str, Any]]:
    values = [(f, getattr(before, f, None), getattr(after, f, None)) for f in _FIELDS]
    return [{"field": f, "old": old, "new": new} for f, old, new in values if old != new]
