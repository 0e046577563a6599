"""Requests on users, made and recorded as the operations of a history."""

import itertools
from dataclasses import dataclass, field

from races.client import Answer, Client
from races.history import Kind, Operation
from races.report import new_email

_numbers = itertools.count(1)


@dataclass
class Recorder:
    """The requests of one client. `known` has the last answer that told of a user by its id."""

    name: str
    client: Client
    history: list[Operation]
    known: dict[str, Answer] = field(default_factory=dict)

    def value(self) -> str:
        """A name that nobody else gives a user."""
        return f"{self.name} {next(_numbers)}"

    async def create(self) -> Answer:
        """A creation of unknown outcome is not recorded: nobody knows its user."""
        name = self.value()
        answer = await self.client.post("/v1/users", {"email": new_email("race"), "name": name})
        if answer.status == 201:
            self._record(Kind.CREATE, answer.document["id"], answer, asked=name)
        return answer

    async def patch(self, user: str, name: str | None, if_match: int | None = None) -> Answer:
        """None: a patch that mentions nothing."""
        body = {} if name is None else {"name": name}
        answer = await self.client.request("PATCH", _path(user), body, _if_match(if_match))
        self._record(Kind.PATCH, user, answer, asked=name, if_match=if_match)
        return answer

    async def delete(self, user: str, if_match: int | None = None) -> Answer:
        answer = await self.client.request("DELETE", _path(user), None, _if_match(if_match))
        self._record(Kind.DELETE, user, answer, if_match=if_match)
        return answer

    async def get(self, user: str) -> Answer:
        """With the token of the last answer that told of the user."""
        last = self.known[user]
        answer = await self.client.request("GET", _path(user), None, last.seen)
        self._record(Kind.GET, user, answer, token_version=last.version or 0)
        return answer

    def _record(
        self,
        kind: Kind,
        user: str,
        answer: Answer,
        *,
        asked: str | None = None,
        if_match: int | None = None,
        token_version: int = 0,
    ) -> None:
        unknown = answer.summary == "503 outcome-unknown"
        shows = answer.status in (200, 201)
        self.history.append(
            Operation(
                self.name,
                kind,
                user,
                answer.invoked,
                None if unknown else answer.responded,
                None if unknown else answer.status,
                answer.version,
                if_match,
                asked,
                answer.document["name"] if shows else None,
                token_version,
                deleted=answer.status == 404 and "deleted_at" in answer.document,
            )
        )
        if answer.status in (200, 201, 204) and kind is not Kind.GET:
            self.known[user] = answer


def _path(user: str) -> str:
    return f"/v1/users/{user}"


def _if_match(version: int | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": f'"{version}"'}
