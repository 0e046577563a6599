"""What each event makes of the view, and what the other admins are told. Nothing is sent here.

Every handler folds first and tells then: told are the admins as they are after the event, save
the one who caused it.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Event
from rollcall_service.ledger import Message
from rollcall_service.text import plain
from rollcall_slack_notification.admins import ADMIN, Grant, Person, Role
from rollcall_slack_notification.batch import Batch
from rollcall_slack_notification.facts import (
    acting_id,
    actor_name,
    assigned_role,
    called,
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

    def user_created(self, event: Event, batch: Batch) -> None:
        message = cast(pb.UserCreatedEvent, event.message)
        person = laid_over(Person(event.key, "", ""), message.person)
        batch.save_person(person)
        fields = [("E-mail", person.email), *status(message.status)]
        self._tell(event, batch, "user_created", called(person), fields)

    def user_updated(self, event: Event, batch: Batch) -> None:
        message = cast(pb.UserUpdatedEvent, event.message)
        before = batch.person(event.key) or Person(event.key, "", "")
        after = laid_over(before, message.person)
        batch.save_person(after)
        fields = [*person_changes(before, after, message.person), *status(message.status)]
        self._tell(event, batch, "user_updated", called(after), fields)

    def user_deleted(self, event: Event, batch: Batch) -> None:
        before = batch.person(event.key)
        batch.remove_person(event.key)
        self._tell(event, batch, "user_deleted", called(before))

    def role_assigned(self, event: Event, batch: Batch) -> None:
        message = cast(pb.RoleAssignedToUserEvent, event.message)
        if role_id := assigned_role(event):  # otherwise it is no role's
            batch.grant(Grant(event.key, role_id), message.role_name)
        user = called(batch.person(event.key))
        self._tell(event, batch, "role_assigned", user, role=plain(message.role_name))

    def role_unassigned(self, event: Event, batch: Batch) -> None:
        message = cast(pb.RoleUnassignedFromUserEvent, event.message)
        if role_id := assigned_role(event):
            batch.revoke(Grant(event.key, role_id))
        user = called(batch.person(event.key))
        self._tell(event, batch, "role_unassigned", user, role=plain(message.role_name))

    def role_created(self, event: Event, batch: Batch) -> None:
        message = cast(pb.RoleCreatedEvent, event.message)
        role = Role(event.key, plain(message.name), message.name == ADMIN)
        batch.save_role(role)
        fields = [
            ("Description", plain(message.description)),
            ("Permissions", listed(message.permissions)),
        ]
        self._tell(event, batch, "role_created", role.name, fields)

    def role_updated(self, event: Event, batch: Batch) -> None:
        message = cast(pb.RoleUpdatedEvent, event.message)
        before = batch.role(event.key) or Role(event.key, "", admin=False)
        fields: list[tuple[str, str]] = []
        role = before
        if message.HasField("name"):
            role = Role(event.key, plain(message.name), message.name == ADMIN)
            fields.append(("Name", f"{before.name} → {role.name}"))
        if message.HasField("description"):
            fields.append(("Description", plain(message.description)))
        if message.HasField("permissions"):
            fields.append(("Permissions", listed(message.permissions.values)))
        batch.save_role(role)
        self._tell(event, batch, "role_updated", role.name, fields)

    def role_deleted(self, event: Event, batch: Batch) -> None:
        role = batch.role(event.key)
        if role is not None:
            batch.save_role(replace(role, deleted=True))
        self._tell(event, batch, "role_deleted", role.name if role else "")

    def _tell(
        self,
        event: Event,
        batch: Batch,
        kind: str,
        subject: str,
        fields: Fields = (),
        role: str = "",
    ) -> None:
        place, actor_id = event.position, acting_id(event)
        actor = None if actor_id is None else batch.person(actor_id)
        payload = {
            "subject": subject,
            "role": role,
            "actor": actor_name(event, actor),
            "fields": [[label, value] for label, value in fields if value],
            "at": event.time.isoformat(timespec="seconds"),
            "position": f"{place.topic}/{place.partition}/{place.offset}",
            "version": event.sequence,
        }
        batch.owed.add(event, [Message(kind, self._recipients(actor, batch), payload)])

    def _recipients(self, actor: Person | None, batch: Batch) -> list[str]:
        """Conversations, each once. An address has an @, a channel has none. An actor who shares
        their address with another admin shares the conversation too, and is not told."""
        own = {actor.conversation} if actor else set()
        others = set(batch.admins()) - own - {""}
        return [*sorted(others), *([self._channel] if self._channel else [])]
