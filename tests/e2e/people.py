"""Users as the tests need them, made through the API."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from e2e.messages import Inboxes, slack_messages
from e2e.waiting import eventually

UNKNOWN_ID = "01900000-0000-7000-8000-00000000ffff"


def new_email(who: str) -> str:
    return f"{who}-{uuid.uuid4().hex[:12]}@example.com"


def seen(answer: httpx.Response) -> dict[str, str]:
    """The header that makes the next request see what this answer told of."""
    return {"Consistency-Token": answer.headers["Consistency-Token"]}


def create(api: httpx.Client, who: str, **changed: Any) -> httpx.Response:
    """The answer to the creation of a user with a new e-mail; not yet waited for by a query."""
    body = {"email": new_email(who), "name": who.title()} | changed
    answer = api.post("/v1/users", json=body)
    assert answer.status_code == 201, answer.text
    return answer


@contextmanager
def second_admin(api: httpx.Client, platform: Inboxes) -> Iterator[dict[str, Any]]:
    """Another admin beside the first user, for a while: each message to them takes a second.

    Known to slack-notification, which tells the admins that it knows when it handles an event,
    and reads partitions in any order: it has told this one of the grant.
    """
    created = create(api, "grace")
    role = api.get("/v1/roles", params={"name": "admin"}).json()["roles"][0]
    user: dict[str, Any] = created.json()
    path = f"/v1/users/{user['id']}"
    granted = api.put(f"{path}/roles/{role['id']}", headers=seen(created))
    assert granted.status_code == 204, granted.text
    assert role["id"] in [r["id"] for r in api.get(path, headers=seen(granted)).json()["roles"]]
    eventually(lambda: slack_messages(platform, user["email"]), within=20)
    try:
        yield user
    finally:
        assert api.delete(path).status_code == 204
