"""The service's own view of users: where to write to each, and how to address them.

Folded from the events like every view; a user who was deleted leaves no trace in it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import astuple, dataclass

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Statement
from rollcall_events.postgres import Wire, array
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


PREPARE = """
PREPARE recipients_of (uuid[]) AS
  SELECT user_id::text, email, name, locale, suspended FROM recipients WHERE user_id = ANY ($1);
PREPARE save_recipients (uuid[], text[], text[], text[], boolean[]) AS
  INSERT INTO recipients (user_id, email, name, locale, suspended)
  SELECT * FROM unnest($1, $2, $3, $4, $5)
  ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, name = excluded.name,
    locale = excluded.locale, suspended = excluded.suspended;
PREPARE remove_recipients (uuid[]) AS DELETE FROM recipients WHERE user_id = ANY ($1);
"""


def load(wire: Wire, user_ids: Collection[str]) -> dict[str, Recipient]:
    """Those of them that are known."""
    if not user_ids:
        return {}
    rows = wire.send("EXECUTE recipients_of (%s)", (array(user_ids),))
    return {row.user_id: Recipient(*row) for row in rows}


def saving(changed: Mapping[str, Recipient | None]) -> Iterator[Statement]:
    """What makes the view hold these; None: the user was deleted."""
    columns = list(zip(*(astuple(r) for r in changed.values() if r is not None), strict=True))
    if columns:
        values = tuple(array(column) for column in columns)
        yield "EXECUTE save_recipients (%s, %s, %s, %s, %s)", values
    if gone := [user_id for user_id, recipient in changed.items() if recipient is None]:
        yield "EXECUTE remove_recipients (%s)", (array(gone),)
