"""Users that never were: what happens to them follows from a seed, so that it can be repeated."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import Message

from rollcall.users.v1 import events_pb2 as pb
from rollcall_cli.importing import Import
from rollcall_events import UnpublishedEvent

ROLES = ("auditor", "billing", "editor", "support", "viewer")
_GIVEN = ("Ada", "Alan", "Barbara", "Donald", "Edsger", "Frances", "Grace", "Katherine")
_FAMILY = ("Allen", "Dijkstra", "Hopper", "Johnson", "Knuth", "Liskov", "Lovelace", "Turing")
_LOCALES = ("", "de", "en", "en-GB", "fr", "fr-CA")
_TEAMS = ("engines", "looms", "numbers", "wires")

# What happens to a user who lives, and how often of a hundred times, added up.
_KINDS = ("updated", "logged_in", "assigned", "unassigned", "deleted")
_OF_A_HUNDRED = (35, 68, 88, 98, 100)
_EVERY_ROLE = (1 << len(ROLES)) - 1
_GONE = 0xFF
_MOST_GONE = 0.1  # of the users made so far


@dataclass(frozen=True)
class Synthetic:
    """`count` events of `users` users: a few roles, then the users' creations among what happens
    to those made before. None of them is one that the platform rejects.

    count: at least `users` and the number of ROLES.
    """

    of: Import
    users: int
    count: int
    seed: int

    def events(self) -> Iterator[UnpublishedEvent]:
        for number, message in enumerate(_Story(self).messages()):
            yield self.of.event(message, self.name, str(number))

    @property
    def name(self) -> str:
        """Another load of the same label has other users, and so it has other ids."""
        return f"{self.users}/{self.count}/{self.seed}"


class _Story:
    """It needs a byte for each user."""

    def __init__(self, load: Synthetic):
        self._of = load.of
        self._name = load.name
        self._users = load.users
        self._count = load.count
        self._tag = load.of.id("tag", load.name)[-12:]
        self._random = random.Random(load.seed)  # noqa: S311  (nothing secret)
        self._roles = [(load.of.id("role", load.name, r), f"{r}-{self._tag}") for r in ROLES]
        self._held = bytearray(load.users)  # bits of ROLES, or _GONE
        self._made = 0
        self._gone = 0

    def messages(self) -> Iterator[Message]:
        for role_id, name in self._roles:
            yield pb.RoleCreatedEvent(role_id=role_id, name=name, description="Synthetic")
        for left in range(self._count - len(ROLES), 0, -1):
            # In the end everybody is made, at the latest by the last events.
            if not self._made or self._random.random() * left < self._users - self._made:
                self._made += 1
                yield self._created(self._made - 1)
            else:
                yield self._happens(self._somebody())

    def _somebody(self) -> int:
        while True:
            number = self._random.randrange(self._made)
            if self._held[number] != _GONE:
                return number

    def _happens(self, number: int) -> Message:
        (kind,) = self._random.choices(_KINDS, cum_weights=_OF_A_HUNDRED)
        user_id = self._user_id(number)
        match kind:
            case "updated":
                return self._updated(user_id, number)
            case "assigned" | "unassigned":
                return self._role_changed(user_id, number, assign=kind == "assigned")
            case "deleted" if self._gone < int(self._made * _MOST_GONE):
                self._gone += 1
                self._held[number] = _GONE
                return pb.UserDeletedEvent(user_id=user_id)
        return pb.UserLoggedInEvent(user_id=user_id)

    def _created(self, number: int) -> Message:
        name = self._person_name()
        email = f"{name.lower().replace(' ', '.')}.{number}@{self._tag}.example.com"
        person = pb.Person(email=email, name=name, locale=self._random.choice(_LOCALES))
        person.attributes.update({"team": self._random.choice(_TEAMS)})
        return pb.UserCreatedEvent(
            user_id=self._user_id(number), person=person, status=pb.USER_STATUS_ACTIVE
        )

    def _updated(self, user_id: str, number: int) -> Message:
        event = pb.UserUpdatedEvent(user_id=user_id)
        match self._random.randrange(5):
            case 0:
                event.person.name = self._person_name()
            case 1:
                event.person.locale = self._random.choice(_LOCALES)
            case 2:
                event.person.attributes.update({"team": self._random.choice(_TEAMS)})
            case 3:
                event.person.email = (
                    f"{self._random.getrandbits(64):x}.{number}@{self._tag}.example.com"
                )
            case 4:
                event.status = self._random.choice(
                    (pb.USER_STATUS_ACTIVE, pb.USER_STATUS_SUSPENDED)
                )
        return event

    def _role_changed(self, user_id: str, number: int, *, assign: bool) -> Message:
        """A role that the user has not yet is assigned, or one that they have is unassigned; the
        other where there is none."""
        held = self._held[number]
        assign = held == 0 or (assign and held != _EVERY_ROLE)
        places = [p for p in range(len(ROLES)) if bool(held >> p & 1) != assign]
        place = self._random.choice(places)
        self._held[number] = held ^ 1 << place
        role_id, name = self._roles[place]
        made = pb.RoleAssignedToUserEvent if assign else pb.RoleUnassignedFromUserEvent
        return made(user_id=user_id, role_id=role_id, role_name=name)

    def _person_name(self) -> str:
        return f"{self._random.choice(_GIVEN)} {self._random.choice(_FAMILY)}"

    def _user_id(self, number: int) -> str:
        return self._of.id("user", self._name, str(number))
