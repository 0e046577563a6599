"""One batch of events on its way into the view and the ledger.

What the events are about is read once, changes in memory event by event, and is written back with
the batch, together with the messages that are owed.
"""

from collections.abc import Collection, Sequence

from rollcall_events import EVENT_TYPES, Event, Rejection, Statement
from rollcall_events.postgres import Wire
from rollcall_service.ledger import Owed
from rollcall_slack_notification import admins
from rollcall_slack_notification.admins import ADMIN, Grant, Person, Role, View
from rollcall_slack_notification.facts import acting_id, assigned_role, names_admin


class Batch:
    """What handlers see: the view after the events before, as far as they and the batches before
    them tell it; what another partition's batch changes meanwhile, the next one sees.

    owed: the messages that handlers decide to send. Only such people and roles may be asked for as
    the events are about or caused by.
    """

    def __init__(self, wire: Wire, events: Sequence[Event]):
        self.owed = Owed()
        view = _view(wire, events) if events else View({}, {}, {})
        self._people: dict[str, Person | None] = {**view.people}
        self._roles = view.roles
        self._grants = view.grants
        self._changed_people: dict[str, Person | None] = {}
        self._changed_roles: dict[str, Role] = {}
        self._changed_grants: dict[Grant, bool | None] = {}
        self._admins: dict[str, str] | None = None

    def person(self, user_id: str) -> Person | None:
        return self._people.get(user_id)

    def save_person(self, person: Person) -> None:
        self._people[person.user_id] = self._changed_people[person.user_id] = person
        if self._admins is not None and person.user_id in self._admins:
            self._admins[person.user_id] = person.conversation

    def remove_person(self, user_id: str) -> None:
        self._people[user_id] = self._changed_people[user_id] = None
        self._grants = {g: admin for g, admin in self._grants.items() if g.user_id != user_id}
        for grant in [grant for grant in self._changed_grants if grant.user_id == user_id]:
            del self._changed_grants[grant]
        if self._admins is not None:
            self._admins.pop(user_id, None)

    def role(self, role_id: str) -> Role | None:
        return self._roles.get(role_id)

    def save_role(self, role: Role) -> None:
        self._roles[role.role_id] = self._changed_roles[role.role_id] = role
        self._admins = None

    def grant(self, grant: Grant, role_name: str) -> None:
        self._grants[grant] = self._changed_grants[grant] = role_name == ADMIN
        self._admins = None

    def revoke(self, grant: Grant) -> None:
        self._grants.pop(grant, None)
        self._changed_grants[grant] = None
        self._admins = None

    def admins(self) -> Collection[str]:
        """The conversations of everybody who holds the role `admin`, as far as is known by now."""
        if self._admins is None:
            holders = {g.user_id for g, admin in self._grants.items() if self._counts(g, admin)}
            self._admins = {user_id: self._conversation(user_id) for user_id in holders}
        return self._admins.values()

    def end(self, rejections: Sequence[Rejection]) -> Sequence[Statement]:
        """What writes all that has changed. What was rejected concerns nobody."""
        return [
            *admins.saving_people(self._changed_people),
            *admins.saving_roles(self._changed_roles),
            *admins.saving_grants(self._changed_grants),
            *self.owed.adding(),
        ]

    def _conversation(self, user_id: str) -> str:
        person = self._people.get(user_id)
        return person.conversation if person else ""

    def _counts(self, grant: Grant, admin: bool) -> bool:
        role = self._roles.get(grant.role_id)
        return admin if role is None else role.admin and not role.deleted


def _view(wire: Wire, events: Sequence[Event]) -> View:
    about_roles = {e.key for e in events if EVENT_TYPES[e.type].collection == "roles"}
    admin_roles = {e.key for e in events if names_admin(e)}
    return admins.read(wire, _user_ids(events), about_roles | _assigned(events), admin_roles)


def _user_ids(events: Sequence[Event]) -> set[str]:
    """The users that events are about or caused by."""
    about = {event.key for event in events if EVENT_TYPES[event.type].collection == "users"}
    return about | {actor for event in events if (actor := acting_id(event)) is not None}


def _assigned(events: Sequence[Event]) -> set[str]:
    return {role_id for event in events if (role_id := assigned_role(event)) is not None}
