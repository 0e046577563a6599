"""One client of the load: one command after the other, whatever becomes of them."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from typing import Any

import httpx
from faults.people import Known, People
from faults.told import Told, kind_of

_MOST, _FEWEST = 48, 16  # users that the clients know of
_ROLES = 3  # at least
_RESTS = 0.3  # seconds after an answer that says that something is away, at most
_ANSWERED_WITHIN = 120.0  # seconds of repeating

Body = dict[str, Any]


class Client:
    """name: unique, and the beginning of the correlation ids of its commands."""

    def __init__(
        self,
        name: str,
        http: httpx.AsyncClient,
        people: People,
        rng: random.Random,
        tell: Callable[[Told], None],
        thinks: float,
    ):
        self._name = name
        self._http = http
        self._people = people
        self._rng = rng
        self._tell = tell
        self._thinks = thinks
        self._numbers = itertools.count()

    async def step(self) -> None:
        """One command, or two that belong together; then a moment's rest."""
        action = self._rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if action in (Client._create, Client._create_wanted) and len(self._people.users) > _MOST:
            action = Client._delete
        if action in _OF_USERS and len(self._people.users) < _FEWEST:
            action = Client._create
        if action in _OF_ROLES and len(self._people.roles) <= _ROLES:
            action = Client._create_role
        told = await action(self)
        away = told.status in (None, 503)
        await asyncio.sleep(self._rng.random() * (_RESTS if away else self._thinks))

    async def _create(self) -> Told:
        return await self._create_user(self._unique("{}@example.com"), own=True)

    async def _create_wanted(self) -> Told:
        email = self._people.contended(self._rng, "{}@example.com")
        return await self._create_user(self._any_case(email), own=False)

    async def _create_user(self, email: str, *, own: bool) -> Told:
        body = {"email": email, "name": "Created"}
        told = await self._send("create", "POST", "/v1/users", body, free=own)
        if told.acknowledged:
            self._people.users[told.target] = Known(told.target, email, told.version, own)
        return told

    async def _patch(self) -> Told:
        return await self._patch_user(self._people.user(self._rng), {})

    async def _patch_if_match(self) -> Told:
        user = self._people.user(self._rng)
        return await self._patch_user(user, {}, if_match=user.version)

    async def _patch_wanted(self) -> Told:
        user = self._people.user(self._rng)
        user.own = False
        email = self._people.contended(self._rng, "{}@example.com")
        return await self._patch_user(user, {"email": self._any_case(email)})

    async def _patch_user(self, user: Known, more: Body, if_match: int | None = None) -> Told:
        # No other command gives this name, so there is always something to change.
        body = {"name": self._unique("{}"), "attributes": {"n": self._rng.randrange(9)}} | more
        path = f"/v1/users/{user.id}"
        told = await self._send("update", "PATCH", path, body, target=user.id, if_match=if_match)
        self._learn(self._people.users, user, told)
        return told

    async def _delete(self) -> Told:
        return await self._delete_user(self._people.user(self._rng))

    async def _delete_user(self, user: Known) -> Told:
        told = await self._send("delete", "DELETE", f"/v1/users/{user.id}", target=user.id)
        self._learn(self._people.users, user, told, gone=True)
        return told

    async def _create_again(self) -> Told:
        """Delete a user, and create another with the e-mail that is free from then on."""
        user = self._people.user(self._rng)
        told = await self._delete_user(user)
        if told.acknowledged and user.own:
            return await self._create_user(user.value, own=True)
        return told

    async def _assign(self) -> Told:
        return await self._with_role("assign", "PUT")

    async def _unassign(self) -> Told:
        return await self._with_role("unassign", "DELETE")

    async def _with_role(self, action: str, method: str) -> Told:
        user, role = self._people.user(self._rng), self._people.role(self._rng)
        path = f"/v1/users/{user.id}/roles/{role.id}"
        told = await self._send(action, method, path, target=user.id, role=role.id)
        if told.status != 404:  # which may be of either
            self._learn(self._people.users, user, told)
        return told

    async def _create_role(self) -> Told:
        own = self._rng.random() < 0.5
        name = self._unique("{}") if own else self._people.contended(self._rng, "{}")
        body = {"name": name, "permissions": ["documents:read"]}
        told = await self._send("create", "POST", "/v1/roles", body, free=own)
        if told.acknowledged:
            self._people.roles[told.target] = Known(told.target, name, told.version, own)
        return told

    async def _patch_role(self) -> Told:
        role = self._people.role(self._rng)
        body: Body = {"description": self._unique("{}")}
        if self._rng.random() < 0.5:
            body["name"] = self._people.contended(self._rng, "{}")
        told = await self._send("update", "PATCH", f"/v1/roles/{role.id}", body, target=role.id)
        self._learn(self._people.roles, role, told)
        return told

    async def _delete_role(self) -> Told:
        role = self._people.role(self._rng)
        told = await self._send("delete", "DELETE", f"/v1/roles/{role.id}", target=role.id)
        self._learn(self._people.roles, role, told, gone=True)
        return told

    def _unique(self, pattern: str) -> str:
        return pattern.format(f"{self._name}-{next(self._numbers)}")

    def _any_case(self, email: str) -> str:
        return email.upper() if self._rng.random() < 0.2 else email

    def _learn(
        self, known: dict[str, Known], one: Known, told: Told, *, gone: bool = False
    ) -> None:
        one.version = max(one.version, told.version)
        if told.status == 404 or (gone and not told.refused):
            known.pop(one.id, None)

    async def _send(
        self,
        action: str,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        target: str = "",
        role: str = "",
        free: bool = False,
        if_match: int | None = None,
    ) -> Told:
        told = Told(self._unique("{}"), action, time.monotonic(), target, role, free)
        headers = {"X-Correlation-Id": told.correlation}
        if if_match is not None:
            headers["If-Match"] = f'"{if_match}"'
        if method == "POST":
            headers["Idempotency-Key"] = told.correlation
        await self._once(told, method, path, body, headers)
        while told.unknown and method == "POST" and not self._people.abandoned:
            assert time.monotonic() < told.began + _ANSWERED_WITHIN, f"{told} is never answered"
            await asyncio.sleep(self._rng.random() * _RESTS)
            await self._once(told, method, path, body, headers)
        told.ended = time.monotonic()
        self._tell(told)
        return told

    async def _once(
        self, told: Told, method: str, path: str, body: Body | None, headers: dict[str, str]
    ) -> None:
        try:
            answer = await self._http.request(method, path, json=body, headers=headers)
        except httpx.TransportError:
            told.status = None
            return
        told.status = answer.status_code
        told.problem = kind_of(answer.json()["type"]) if answer.is_error else ""
        told.version = int(answer.headers.get("ETag", '"0"').strip('"'))
        if answer.status_code == 201:
            told.target = answer.json()["id"]


_WEIGHTS = {
    Client._create: 14,
    Client._create_wanted: 14,
    Client._create_again: 5,
    Client._patch: 20,
    Client._patch_if_match: 14,
    Client._patch_wanted: 8,
    Client._delete: 8,
    Client._assign: 8,
    Client._unassign: 5,
    Client._create_role: 2,
    Client._patch_role: 2,
    Client._delete_role: 1,
}
_OF_USERS = {
    *(Client._create_again, Client._patch, Client._patch_if_match, Client._patch_wanted),
    *(Client._delete, Client._assign, Client._unassign),
}
_OF_ROLES = {Client._assign, Client._unassign, Client._patch_role, Client._delete_role}
