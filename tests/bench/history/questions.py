"""What is asked about the past, each time of another user, role or moment within the log."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bench.history.client import Ask, Client
from e2e.local_platform import Platform
from e2e.stores import rows

_PEOPLE = 2_000  # of whom questions are asked
_PAGE = 50


@dataclass(frozen=True)
class Person:
    id: str
    email: str
    name: str
    created: datetime
    until: datetime  # of the deletion, or of the log's end


@dataclass(frozen=True)
class Known:
    """Of the log: its span, some of its users, and its roles."""

    began: datetime
    ended: datetime
    people: list[Person]
    roles: list[str]  # names


def known(platform: Platform) -> Known:
    [(began, ended)] = rows(platform, "SELECT min(recorded_at), max(recorded_at) FROM history")
    people = rows(
        platform,
        "SELECT id::text, email, name, created_at, coalesce(deleted_at, %s) FROM users"
        " WHERE email LIKE '%%.example.com' ORDER BY random() LIMIT %s",
        ended,
        _PEOPLE,
    )
    names = rows(platform, "SELECT name FROM roles WHERE deleted_at IS NULL AND name <> 'admin'")
    return Known(began, ended, [Person(*row) for row in people], [name for (name,) in names])


class Questions:
    """Each method is an endless row of questions of one kind."""

    def __init__(self, of: Known, chance: random.Random):
        self._of = of
        self._chance = chance

    def user_at(self) -> Iterator[Ask]:
        """As it was at a moment of its life."""
        while True:
            person = self._person()
            yield _asking(f"/v1/users/{person.id}", at=self._moment_of(person))

    def list_at(self) -> Iterator[Ask]:
        """Pages of the list by creation, each of a moment of its own: the first, or one that
        follows it."""
        tokens: list[tuple[str, str]] = []

        def ask(client: Client) -> float:
            at, token = tokens.pop() if tokens else (self._moment(), "")
            more = {"page_token": token} if token else {}
            taken, found = _asked(client, "/v1/users", at=at, page_size=_PAGE, **more)
            if found["next_page_token"] and self._chance.random() < 0.9:
                tokens.append((at, found["next_page_token"]))
            return taken

        while True:
            yield ask

    def by_email(self) -> Iterator[Ask]:
        while True:
            person = self._person()
            yield _asking("/v1/users", at=self._moment_of(person), email=person.email)

    def by_role(self) -> Iterator[Ask]:
        while True:
            role = self._chance.choice(self._of.roles)
            yield _asking("/v1/users", at=self._moment(), role=role, page_size=_PAGE)

    def searching(self) -> Iterator[Ask]:
        """For the present, for a part of an e-mail that few have."""
        while True:
            yield _asking("/v1/users", q=rare_part(self._person()))

    def searching_names(self) -> Iterator[Ask]:
        """For the present, for a part of a name that many have."""
        while True:
            yield _asking("/v1/users", q=self._person().name.split()[-1][:6], page_size=_PAGE)

    def searching_at(self) -> Iterator[Ask]:
        while True:
            person = self._person()
            yield _asking("/v1/users", at=self._moment_of(person), q=rare_part(person))

    def _person(self) -> Person:
        return self._chance.choice(self._of.people)

    def _moment_of(self, person: Person) -> str:
        """At which it lived."""
        return self._between(person.created, person.until - timedelta(milliseconds=1))

    def _moment(self) -> str:
        return self._between(self._of.began, self._of.ended)

    def _between(self, first: datetime, last: datetime) -> str:
        at = first + max(last - first, timedelta()) * self._chance.random()
        return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def rare_part(person: Person) -> str:
    return person.email.partition("@")[0][-9:]


# What is measured, by its name in the tables → the questions.
KINDS: Mapping[str, Callable[[Questions], Iterator[Ask]]] = {
    "user ?at=": Questions.user_at,
    "list ?at= by creation": Questions.list_at,
    "list ?at=&email=": Questions.by_email,
    "list ?at=&role=": Questions.by_role,
    "list ?q= rare, now": Questions.searching,
    "list ?q= frequent, now": Questions.searching_names,
    "list ?at=&q= rare": Questions.searching_at,
}


def _asking(path: str, **parameters: Any) -> Ask:
    return lambda client: client.timed(path, **parameters)[0]


def _asked(client: Client, path: str, **parameters: Any) -> tuple[float, Any]:
    taken, body = client.timed(path, **parameters)
    return taken, json.loads(body)
