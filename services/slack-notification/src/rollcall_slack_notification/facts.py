"""From events and views to the words that a message is made of."""

import uuid
from collections.abc import Iterable

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Event
from rollcall_service.text import address, plain
from rollcall_slack_notification.admins import ADMIN, Person

_STATUS = {pb.USER_STATUS_ACTIVE: "active", pb.USER_STATUS_SUSPENDED: "suspended"}


def laid_over(before: Person, person: pb.Person) -> Person:
    """`before` with what is present in an event laid over it."""
    return Person(
        before.user_id,
        address(person.email) if person.HasField("email") else before.email,
        plain(person.name) if person.HasField("name") else before.name,
    )


def person_changes(before: Person, after: Person, person: pb.Person) -> list[tuple[str, str]]:
    changes = []
    if before.email != after.email:
        changes.append(("E-mail", f"{before.email} → {after.email}"))
    if before.name != after.name:
        changes.append(("Name", f"{before.name} → {after.name}"))
    if person.HasField("locale"):
        changes.append(("Locale", plain(person.locale) or "none"))
    if person.HasField("attributes"):
        changes.append(("Attributes", "changed"))  # their values may hold anything
    return changes


def status(value: pb.UserStatus.ValueType) -> list[tuple[str, str]]:
    return [("Status", _STATUS[value])] if value in _STATUS else []


def listed(values: Iterable[str]) -> str:
    return plain(", ".join(values)) or "none"


def called(person: Person | None) -> str:
    """A user as admins know them; empty if nothing is known."""
    return (person.name or person.email) if person else ""


def acting_id(event: Event) -> str | None:
    """The id of the user who caused the event, if it says that a user did."""
    kind, _, actor_id = (event.actor or "").partition("/")
    return uuid_of(actor_id) if kind == "users" else None


def assigned_role(event: Event) -> str | None:
    """The id of the role that the event assigns or takes away, if it is about one."""
    if isinstance(event.message, pb.RoleAssignedToUserEvent | pb.RoleUnassignedFromUserEvent):
        return uuid_of(event.message.role_id)
    return None


def names_admin(event: Event) -> bool:
    """Whether the event gives a role the name `admin`."""
    message = event.message
    return isinstance(message, pb.RoleCreatedEvent | pb.RoleUpdatedEvent) and message.name == ADMIN


def actor_name(event: Event, person: Person | None) -> str:
    """Who caused the event, in words; empty if the event does not say. person: the acting user, as
    far as they are known."""
    kind, _, name = plain(event.actor or "").partition("/")
    if kind == "users":
        return called(person) or "a user"
    return {"tokens": "an API token", "services": f"the service {name}"}.get(kind, "")


def uuid_of(value: str) -> str | None:
    """The id as Postgres writes it; None if it is none. In the usual form only: uuid.UUID takes
    spellings that Postgres does not."""
    try:
        canonical = str(uuid.UUID(value))
    except ValueError:
        return None
    return canonical if canonical == value.lower() else None
