"""The users that every case creates: a fresh e-mail each, and nothing else that differs."""

import itertools
import json
import uuid
from datetime import UTC, datetime

from rollcall.users.v1.commands_pb2 import CommandContext, CreateUserRequest
from rollcall.users.v1.events_pb2 import Person, UserCreatedEvent, UserStatus
from rollcall_events import Record, UnpublishedEvent
from rollcall_events.codec import encode
from rollcall_events.ids import uuid7
from rollcall_events.types import type_of

NAME = "Ada Lovelace"

_ACTOR = f"users/{uuid7()}"
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_RUN = uuid.uuid4().hex[:8]
_numbers = itertools.count()


def fresh_email() -> str:
    """Of the same length each time."""
    return f"bench-{_RUN}-{next(_numbers):09d}@example.com"


def post(path: str, port: int, *headers: str) -> tuple[bytes, bytes]:
    """What stands before and after the e-mail in the request that creates a user."""
    before, after = json.dumps({"email": "\0", "name": NAME}).split("\\u0000")
    length = len(before) + len(fresh_email()) + len(after)
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        *headers,
    )
    return ("\r\n".join([*lines, "", before]).encode(), after.encode())


def command() -> CreateUserRequest:
    """With everything that the gateway sends."""
    context = CommandContext(
        command_id=uuid7(), actor=_ACTOR, correlation_id=uuid7(), traceparent=_TRACE
    )
    return CreateUserRequest(context=context, user_id=uuid7(), email=fresh_email(), name=NAME)


def record(topic: str) -> Record:
    """An event as user-management appends it."""
    created = command()
    person = Person(email=created.email, name=created.name, locale="")
    message = UserCreatedEvent(
        user_id=created.user_id, person=person, status=UserStatus.USER_STATUS_ACTIVE
    )
    event = UnpublishedEvent(
        id=uuid7(),
        type=type_of(message).name,
        key=created.user_id,
        source="/services/user-management",
        time=datetime.now(UTC),
        message=message,
        sequence=1,
        actor=created.context.actor,
        command_id=created.context.command_id,
        correlation_id=created.context.correlation_id,
        causation_id=created.context.command_id,
        traceparent=created.context.traceparent,
    )
    return encode(event, topic)
