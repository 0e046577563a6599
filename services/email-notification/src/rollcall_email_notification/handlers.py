"""What each event makes of the recipients view, and which mails it owes. No mail is sent here.

Handlers see every user's events in order, and only those that the user's life allows.
"""

from typing import Any, cast

from rollcall.users.v1 import events_pb2 as pb
from rollcall_email_notification import recipients
from rollcall_email_notification.batch import Batch
from rollcall_email_notification.recipients import Recipient
from rollcall_events import Event
from rollcall_service.ledger import Message
from rollcall_service.text import plain


def user_created(event: Event, batch: Batch) -> None:
    user = recipients.created(cast(pb.UserCreatedEvent, event.message))
    batch.save(user)
    batch.owed.add(event, _mail("welcome", user, event))


def user_updated(event: Event, batch: Batch) -> None:
    message = cast(pb.UserUpdatedEvent, event.message)
    before = batch.find(event.key)
    if before is None:
        return
    after = recipients.updated(before, message.person, message.status)
    batch.save(after)
    batch.owed.add(event, profile_mails(before, after, message, event))


def user_deleted(event: Event, batch: Batch) -> None:
    user = batch.find(event.key)
    batch.remove(event.key)
    batch.owed.add(event, _mail("farewell", user, event))


def user_logged_in(event: Event, batch: Batch) -> None:
    user = batch.find(event.key)
    batch.owed.add(event, _mail("sign_in", user, event))


def role_assigned(event: Event, batch: Batch) -> None:
    message = cast(pb.RoleAssignedToUserEvent, event.message)
    user = batch.find(event.key)
    batch.owed.add(event, _mail("role_granted", user, event, role=plain(message.role_name)))


def role_unassigned(event: Event, batch: Batch) -> None:
    message = cast(pb.RoleUnassignedFromUserEvent, event.message)
    user = batch.find(event.key)
    batch.owed.add(event, _mail("role_revoked", user, event, role=plain(message.role_name)))


def profile_mails(
    before: Recipient, after: Recipient, message: pb.UserUpdatedEvent, event: Event
) -> list[Message]:
    """To the user; and to the address they had, which has to hear that it is theirs no more.

    The old address is not told the new one: who reads it may be somebody else by now.
    """
    changes = _changes(before, after, message)
    if not changes:
        return []
    mails = _mail("profile_changed", after, event, changes=changes)
    if before.email.casefold() != after.email.casefold():
        mails += _mail("address_changed", before, event)
    return mails


def _changes(before: Recipient, after: Recipient, message: pb.UserUpdatedEvent) -> list[str]:
    """The names of what changed. Values stay out of mails: attributes may hold anything."""
    changes = [f for f in ("email", "name", "locale") if getattr(before, f) != getattr(after, f)]
    if message.person.HasField("attributes"):
        changes.append("attributes")
    if before.suspended != after.suspended:
        changes.append("suspended" if after.suspended else "reactivated")
    return changes


def _mail(kind: str, user: Recipient | None, event: Event, **payload: Any) -> list[Message]:
    if user is None or not user.email:
        return []
    facts = {"name": user.name, "locale": user.locale, "email": user.email}
    return [Message(kind, [user.email], facts | {"at": event.time.isoformat()} | payload)]
