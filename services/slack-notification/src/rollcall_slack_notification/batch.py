"""One batch of events on its way into the view and the ledger.

What the events are about is read once, changes in memory event by event, and is written back with
the batch, together with the messages that are owed.
"""

from collections.abc import Collection, Iterator, Sequence

from rollcall_events import EVENT_TYPES, Event, Rejection, Statement
from rollcall_events.postgres import Wire
from rollcall_service.ledger import Owed
from rollcall_slack_notification import admins
from rollcall_slack_notification.admins import ADMIN, Grant, Person, Role
from rollcall_slack_notification.facts import acting_id, assigned_role


class Batch:
    """What handlers see: the view after the events before. owed: the messages that they decide to
    send. Only such people and roles may be asked for as the events are about or caused by."""

    def __init__(self, wire: Wire, events: Sequence[Event]):
        self.owed = Owed()
        self._wire = wire
        self._people: dict[str, Person | None] = {}
        self._changed: dict[str, Person | None] = {}
        self._roles: dict[str, Role] = {}
        self._admin_grants: set[Grant] = set()
        self._changed_grants: dict[Grant, bool | None] = {}
        if events:
            self._read(_user_ids(events), _role_ids(events))

    def person(self, user_id: str) -> Person | None:
        return self._people.get(user_id)

    def save_person(self, person: Person) -> None:
        self._people[person.user_id] = self._changed[person.user_id] = person

    def remove_person(self, user_id: str) -> None:
        self._people[user_id] = self._changed[user_id] = None
        self._admin_grants = {grant for grant in self._admin_grants if grant.user_id != user_id}
        for grant in [grant for grant in self._changed_grants if grant.user_id == user_id]:
            del self._changed_grants[grant]

    def role(self, role_id: str) -> Role | None:
        return self._roles.get(role_id)

    def save_role(self, role: Role) -> None:
        """Written at once, and then who holds the role `admin` is read again: it may be others
        now, as many as there are users. Roles change seldom."""
        for statement, parameters in (*self._view(), admins.saving_role(role)):
            self._wire.send(statement, parameters)
        self._changed.clear()
        self._changed_grants.clear()
        self._read((), [role.role_id])

    def grant(self, grant: Grant, role_name: str) -> None:
        role = self._roles.get(grant.role_id)
        self._changed_grants[grant] = role_name == ADMIN
        if role_name == ADMIN if role is None else role.admin and not role.deleted:
            self._admin_grants.add(grant)
        else:
            self._admin_grants.discard(grant)

    def revoke(self, grant: Grant) -> None:
        self._changed_grants[grant] = None
        self._admin_grants.discard(grant)

    def admins(self) -> list[Person]:
        """Everybody who holds the role `admin`, as far as is known by now."""
        people = (self._people.get(user_id) for user_id in {g.user_id for g in self._admin_grants})
        return [person for person in people if person is not None]

    def statements(self) -> Sequence[Statement]:
        """What writes everything that is not yet written."""
        return [*self._view(), *self.owed.adding()]

    def _view(self) -> Iterator[Statement]:
        yield from admins.saving_people(self._changed)
        yield from admins.saving_grants(self._changed_grants)

    def _read(self, user_ids: Collection[str], role_ids: Collection[str]) -> None:
        people, roles, self._admin_grants = admins.read(self._wire, user_ids, role_ids)
        self._people |= people
        self._roles |= roles


def _user_ids(events: Sequence[Event]) -> set[str]:
    """The users that events are about or caused by."""
    about = {event.key for event in events if EVENT_TYPES[event.type].collection == "users"}
    return about | {actor for event in events if (actor := acting_id(event)) is not None}


def _role_ids(events: Sequence[Event]) -> set[str]:
    about = {event.key for event in events if EVENT_TYPES[event.type].collection == "roles"}
    return about | {role for event in events if (role := assigned_role(event)) is not None}


def end(batch: Batch, rejections: Sequence[Rejection]) -> Sequence[Statement]:
    """What was rejected concerns nobody."""
    return batch.statements()
