"""The platform played by the model itself: for tests of what compares the two."""

import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx
from model.platform_model import TIME, Aggregate, Body, Command, Expected, Rules, State
from model.remote import PROBLEM

_PATHS = re.compile(r"/v1/(user|role)s(?:/([^/]+))?(?:/roles/([^/]+))?")
_KINDS = {
    ("POST", "user"): "create_user",
    ("PATCH", "user"): "patch_user",
    ("DELETE", "user"): "delete_user",
    ("POST", "role"): "create_role",
    ("PATCH", "role"): "patch_role",
    ("DELETE", "role"): "delete_role",
}
_TOKEN = {"Consistency-Token": "all"}
_ADMIN = {"name": "admin", "description": "", "permissions": ["*"]}


class StandIn:
    """lost: says of every command by its number whether its answer is lost, "before" or "after"
    it was carried out, or in neither case ("")."""

    def __init__(self, rules: Rules, lost: Callable[[int], str] = lambda number: ""):
        self._rules = rules
        self._lost = lost
        self._numbers = itertools.count(1)
        self._moments = itertools.count()
        self._state = State().with_role(Aggregate("admin", 1, _ADMIN, self._now(), self._now()))

    def client(self) -> httpx.Client:
        return httpx.Client(base_url="http://stand-in", transport=httpx.MockTransport(self._handle))

    def _now(self) -> str:
        number = next(self._moments)
        return f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"

    def _handle(self, request: httpx.Request) -> httpx.Response:
        match = _PATHS.fullmatch(request.url.path)
        assert match, request.url
        noun, id_, role = match[1], match[2] or "", match[3] or ""
        if request.method != "GET":
            return self._command(_command(request, noun, id_, role))
        if id_:
            return self._read(request, noun, id_)
        return self._list(noun, dict(request.url.params))

    def _command(self, command: Command) -> httpx.Response:
        number = next(self._numbers)
        lost = self._lost(number)
        if lost == "before":
            raise httpx.ReadError("lost")
        expected = self._perform(command, f"id-{number}")
        if lost == "after":
            raise httpx.ReadError("lost")
        return _response(expected, command.noun)

    def _perform(self, command: Command, new_id: str) -> Expected:
        if command.creates:
            command = replace(command, id=new_id)
        expected, self._state = self._rules.perform(self._state, command)
        if expected.body is None or expected.repeat:
            return expected
        body = self._told(command.noun, expected.body)
        if command.creates and command.key:
            self._state = self._rules.remembered(self._state, command, body)
        return replace(expected, body=body)

    def _told(self, noun: str, body: Body) -> Body:
        """The representation with its times, the same whenever it is asked for."""
        now = self._now()
        body = {name: now if value == TIME else value for name, value in body.items()}
        self._state = self._rules.learned(self._state, noun, body)
        return body

    def _read(self, request: httpx.Request, noun: str, id_: str) -> httpx.Response:
        expected = self._rules.read(self._state, noun, id_)
        if expected.body is not None:
            expected = replace(expected, body=self._told(noun, expected.body))
        if request.headers.get("if-none-match") == f'"{expected.version}"':
            expected = Expected(304, expected.version)
        return _response(expected, noun)

    def _list(self, noun: str, query: dict[str, str]) -> httpx.Response:
        start, size = int(query.pop("page_token", "0")), int(query.pop("page_size", "50"))
        order = query.pop("order_by", "created_at")
        found = [self._told(noun, b) for b in self._rules.listed(self._state, noun, query)]
        name = order.removeprefix("-")
        found.sort(key=lambda b: str(b[name]).lower(), reverse=order.startswith("-"))
        more = str(start + size) if start + size < len(found) else None
        page = {f"{noun}s": found[start : start + size], "next_page_token": more}
        return httpx.Response(200, json=page, headers=_TOKEN)


def _command(request: httpx.Request, noun: str, id_: str, role: str) -> Command:
    kind = _KINDS.get((request.method, noun), "")
    if role:
        kind = "assign_role" if request.method == "PUT" else "unassign_role"
    if_match = request.headers.get("if-match")
    key = request.headers.get("idempotency-key")
    return Command(
        kind,
        id_,
        role,
        body=json.loads(request.content) if request.content else {},
        if_match=int(if_match.strip('"')) if if_match else None,
        key=key.strip('"') if key else None,
    )


def _response(expected: Expected, noun: str) -> httpx.Response:
    headers = {} if expected.version is None else {"ETag": f'"{expected.version}"'}
    if expected.problem:
        headers["Content-Type"] = "application/problem+json"
        problem = _problem(expected)
        return httpx.Response(expected.status, content=json.dumps(problem), headers=headers)
    headers |= _TOKEN
    if expected.status == 201 and expected.body:
        headers["Location"] = f"/v1/{noun}s/{expected.body['id']}"
    body: Mapping[str, Any] = {} if expected.body is None else {"json": dict(expected.body)}
    return httpx.Response(expected.status, headers=headers, **body)


def _problem(expected: Expected) -> dict[str, Any]:
    deleted = {"deleted_at": "2026-01-01T00:00:00.000Z"} if expected.deleted else {}
    errors = [{"field": name, "message": "is at fault"} for name in sorted(expected.fields)]
    kind = f"{PROBLEM}{expected.problem}"
    return {"type": kind, "status": expected.status, "errors": errors, **deleted}
