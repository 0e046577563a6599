"""The first user is made once, whatever interrupted the starts before."""

import asyncio
import json

import httpx
import pytest

from rollcall_local.first_user import Gateway, Refused, ensure, ensure_patiently


class FakeGateway:
    """Answers like the real one, and fails requests as told."""

    def __init__(self, *failures: int):
        self.failures = list(failures)
        self.made: list[str] = []
        self.roles: list[dict[str, str]] = []
        self.users: list[dict[str, object]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.failures:
            return httpx.Response(self.failures.pop(0))
        path, method = request.url.path, request.method
        if method == "GET":
            pages = {"/v1/roles": {"roles": self.roles}, "/v1/users": {"users": self.users}}
            return httpx.Response(200, json=pages.get(path, {}))
        self.made.append(f"{method} {path}")
        if method == "PUT":
            self.users[0]["roles"] = [{"id": path.rpartition("/")[2]}]
            return httpx.Response(204)
        created = json.loads(request.content) | {"id": f"id{len(self.made)}"}
        if path == "/v1/roles":
            self.roles.append(created)
        else:
            self.users.append(created | {"roles": []})
            created = created | {"roles": []}
        return httpx.Response(201, json=created, headers={"Consistency-Token": "t"})


def made_by(fake: FakeGateway, *, patiently: bool = False) -> str:
    async def run() -> str:
        transport = httpx.MockTransport(fake)
        async with httpx.AsyncClient(base_url="http://gateway", transport=transport) as client:
            make = ensure_patiently if patiently else ensure
            return await make(Gateway(client), "admin@example.com")

    return asyncio.run(run())


def test_the_role_the_user_and_the_assignment_are_made_once() -> None:
    fake = FakeGateway()
    assert made_by(fake) == made_by(fake) == "id2"
    assert fake.made == ["POST /v1/roles", "POST /v1/users", "PUT /v1/users/id2/roles/id1"]


def test_a_start_that_was_interrupted_is_completed() -> None:
    fake = FakeGateway()
    fake.roles.append({"id": "r", "name": "admin"})
    fake.users.append({"id": "u", "email": "admin@example.com", "roles": []})
    assert made_by(fake) == "u"
    assert fake.made == ["PUT /v1/users/u/roles/r"]


def test_an_answer_to_come_back_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollcall_local.first_user._PAUSE", 0)
    assert made_by(FakeGateway(503, 504), patiently=True) == "id2"


def test_a_refusal_is_told_without_personal_data() -> None:
    with pytest.raises(Refused) as failure:
        made_by(FakeGateway(403), patiently=True)
    assert str(failure.value) == "GET /v1/roles was answered 403"
