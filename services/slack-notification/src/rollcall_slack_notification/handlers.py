"""What each event makes of the view, and what the other admins are told. Nothing is sent here.

Every handler folds first and tells then: told are the admins as they are after the event, save
the one who caused it.
"""

from collections.abc import Iterable
from typing import cast

from sqlalchemy import Connection

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Event
from rollcall_service import ledger
from rollcall_service.ledger import Message
from rollcall_service.text import plain
from rollcall_slack_notification import admins
from rollcall_slack_notification.admins import Person, Role
from rollcall_slack_notification.facts import (
    acting_person,
    actor_name,
    called,
    is_uuid,
    laid_over,
    listed,
    person_changes,
    status,
)

Fields = Iterable[tuple[str, str]]


class Handlers:
    """The table's functions, with the channel that they tell besides the admins."""

    def __init__(self, channel: str | None = None):
        self._channel = channel

    def user_created(self, event: Event, connection: Connection) -> None:
        message = cast(pb.UserCreatedEvent, event.message)
        person = laid_over(Person(event.key, "", ""), message.person)
        admins.save_person(connection, person)
        fields = [("E-mail", person.email), *status(message.status)]
        self._tell(event, connection, "user_created", called(person), fields)

    def user_updated(self, event: Event, connection: Connection) -> None:
        message = cast(pb.UserUpdatedEvent, event.message)
        before = admins.person(connection, event.key) or Person(event.key, "", "")
        after = laid_over(before, message.person)
        admins.save_person(connection, after)
        fields = [*person_changes(before, after, message.person), *status(message.status)]
        self._tell(event, connection, "user_updated", called(after), fields)

    def user_deleted(self, event: Event, connection: Connection) -> None:
        before = admins.person(connection, event.key)
        admins.remove_person(connection, event.key)
        self._tell(event, connection, "user_deleted", called(before))

    def role_assigned(self, event: Event, connection: Connection) -> None:
        message = cast(pb.RoleAssignedToUserEvent, event.message)
        if is_uuid(message.role_id):  # otherwise it is no role's
            admins.grant(connection, event.key, message.role_id, message.role_name)
        user = called(admins.person(connection, event.key))
        self._tell(event, connection, "role_assigned", user, role=plain(message.role_name))

    def role_unassigned(self, event: Event, connection: Connection) -> None:
        message = cast(pb.RoleUnassignedFromUserEvent, event.message)
        if is_uuid(message.role_id):
            admins.revoke(connection, event.key, message.role_id)
        user = called(admins.person(connection, event.key))
        self._tell(event, connection, "role_unassigned", user, role=plain(message.role_name))

    def role_created(self, event: Event, connection: Connection) -> None:
        message = cast(pb.RoleCreatedEvent, event.message)
        role = Role(event.key, plain(message.name), message.name == admins.ADMIN)
        admins.save_role(connection, role)
        fields = [
            ("Description", plain(message.description)),
            ("Permissions", listed(message.permissions)),
        ]
        self._tell(event, connection, "role_created", role.name, fields)

    def role_updated(self, event: Event, connection: Connection) -> None:
        message = cast(pb.RoleUpdatedEvent, event.message)
        before = admins.role(connection, event.key) or Role(event.key, "", admin=False)
        fields: list[tuple[str, str]] = []
        role = before
        if message.HasField("name"):
            role = Role(event.key, plain(message.name), message.name == admins.ADMIN)
            fields.append(("Name", f"{before.name} → {role.name}"))
        if message.HasField("description"):
            fields.append(("Description", plain(message.description)))
        if message.HasField("permissions"):
            fields.append(("Permissions", listed(message.permissions.values)))
        admins.save_role(connection, role)
        self._tell(event, connection, "role_updated", role.name, fields)

    def role_deleted(self, event: Event, connection: Connection) -> None:
        role = admins.role(connection, event.key)
        admins.delete_role(connection, event.key)
        self._tell(event, connection, "role_deleted", role.name if role else "")

    def _tell(
        self,
        event: Event,
        connection: Connection,
        kind: str,
        subject: str,
        fields: Fields = (),
        role: str = "",
    ) -> None:
        place = event.position
        payload = {
            "subject": subject,
            "role": role,
            "actor": actor_name(event, connection),
            "fields": [[label, value] for label, value in fields if value],
            "at": event.time.isoformat(timespec="seconds"),
            "position": f"{place.topic}/{place.partition}/{place.offset}",
            "version": event.sequence,
        }
        recipients = self._recipients(event, connection)
        ledger.add(connection, event, [Message(kind, r, payload) for r in recipients])

    def _recipients(self, event: Event, connection: Connection) -> list[str]:
        """Conversations, each once. An address has an @, a channel has none. An actor who shares
        their address with another admin shares the conversation too, and is not told."""
        actor = acting_person(event, connection)
        own = {actor.conversation} if actor else set()
        others = {p.conversation for p in admins.admins(connection)} - own - {""}
        return [*sorted(others), *([self._channel] if self._channel else [])]
