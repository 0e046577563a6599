"""The service's own view of users: where to write to each, and how to address them.

Folded from the events like every view; a user who was deleted leaves no trace in it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, text

from rollcall.users.v1 import events_pb2 as pb
from rollcall_service.text import address, plain


@dataclass(frozen=True)
class Recipient:
    user_id: str
    email: str  # empty: nowhere to write to
    name: str
    locale: str
    suspended: bool


def created(event: pb.UserCreatedEvent) -> Recipient:
    blank = Recipient(event.user_id, "", "", "", suspended=False)
    return updated(blank, event.person, event.status)


def updated(before: Recipient, person: pb.Person, status: pb.UserStatus.ValueType) -> Recipient:
    """`before` with what is present in an event laid over it."""
    return Recipient(
        user_id=before.user_id,
        email=address(person.email) if person.HasField("email") else before.email,
        name=plain(person.name) if person.HasField("name") else before.name,
        locale=plain(person.locale) if person.HasField("locale") else before.locale,
        suspended=status == pb.USER_STATUS_SUSPENDED if status else before.suspended,
    )


def find(connection: Connection, user_id: str) -> Recipient | None:
    statement = text(
        "SELECT user_id::text, email, name, locale, suspended FROM recipients"
        " WHERE user_id = CAST(:user_id AS uuid)"
    )
    row = connection.execute(statement, {"user_id": user_id}).mappings().first()
    return Recipient(**row) if row else None


def save(connection: Connection, recipient: Recipient) -> None:
    values: Mapping[str, object] = asdict(recipient)
    connection.execute(
        text(
            "INSERT INTO recipients (user_id, email, name, locale, suspended)"
            " VALUES (CAST(:user_id AS uuid), :email, :name, :locale, :suspended)"
            " ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, name = excluded.name,"
            " locale = excluded.locale, suspended = excluded.suspended"
        ),
        values,
    )


def remove(connection: Connection, user_id: str) -> None:
    connection.execute(
        text("DELETE FROM recipients WHERE user_id = CAST(:user_id AS uuid)"), {"user_id": user_id}
    )
