"""Whatever a client sends wrong: its status, and a problem that names what is at fault."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from e2e.local_platform import Platform
from e2e.people import UNKNOWN_ID, create, new_email

JSON = {"Content-Type": "application/json"}
USER = {"email": "bad-input@example.com", "name": "Ada"}


def body(**changed: Any) -> bytes:
    return json.dumps(USER | changed).encode()


# method, path, body, status, the field at fault
REQUESTS: dict[str, tuple[str, str, bytes, int, str | None]] = {
    "not JSON": ("POST", "/v1/users", b"{", 400, None),
    "no object": ("POST", "/v1/users", b"[]", 422, "body"),
    "wrong type": ("POST", "/v1/users", body(name=7), 422, "name"),
    "wrong type inside": ("POST", "/v1/users", body(attributes=[]), 422, "attributes"),
    "wrong type of status": ("PATCH", f"/v1/users/{UNKNOWN_ID}", b'{"status":1}', 422, "status"),
    "name missing": ("POST", "/v1/users", b'{"email":"a@example.com"}', 422, "name"),
    "unknown field": ("POST", "/v1/users", body(admin=True), 422, "admin"),
    "bad e-mail": ("POST", "/v1/users", body(email="nobody"), 422, "email"),
    "bad locale": ("POST", "/v1/users", body(locale="not a locale"), 422, "locale"),
    "name of 1 MiB": ("POST", "/v1/users", body(name="x" * 2**20), 422, "name"),
    "empty name": ("POST", "/v1/users", body(name=" "), 422, "name"),
    "control characters": ("POST", "/v1/users", body(name="a\0b"), 422, "name"),
    "a line break": ("POST", "/v1/users", body(name="a\nb"), 422, "name"),
    "body of 3 MiB": ("POST", "/v1/users", body(name="x" * 3 * 2**20), 413, None),
    "unknown id": ("GET", f"/v1/users/{UNKNOWN_ID}", b"", 404, None),
    "unknown id changed": ("PATCH", f"/v1/users/{UNKNOWN_ID}", b'{"name":"A"}', 404, None),
    "unknown id deleted": ("DELETE", f"/v1/users/{UNKNOWN_ID}", b"", 404, None),
    "unknown role": ("GET", f"/v1/roles/{UNKNOWN_ID}", b"", 404, None),
    "malformed id": ("GET", "/v1/users/ada", b"", 422, "id"),
    "malformed role id": ("PUT", f"/v1/users/{UNKNOWN_ID}/roles/x", b"", 422, "role_id"),
    "page size 0": ("GET", "/v1/users?page_size=0", b"", 422, "page_size"),
    "page size -1": ("GET", "/v1/users?page_size=-1", b"", 422, "page_size"),
    "page size 10^9": ("GET", "/v1/users?page_size=1000000000", b"", 422, "page_size"),
    "roles, page size 0": ("GET", "/v1/roles?page_size=0", b"", 422, "page_size"),
    "no page token": ("GET", "/v1/users?page_token=AAAA", b"", 400, "page_token"),
    "unknown order": ("GET", "/v1/users?order_by=age", b"", 422, "order_by"),
}


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "field"), REQUESTS.values(), ids=REQUESTS.keys()
)
def test_requests(
    api: httpx.Client, method: str, path: str, content: bytes, status: int, field: str | None
) -> None:
    _check(api.request(method, path, content=content, headers=JSON), status, field)


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer", "Bearer nonsense", "Basic YTpi", "another secret"],
    ids=["missing", "empty", "nonsense", "Basic", "another secret's"],
)
def test_a_missing_or_wrong_token(
    platform: Platform, token: str, authorization: str | None
) -> None:
    if authorization == "another secret":
        authorization = f"Bearer {token[:-6]}AAAAAA"
    headers = {"Authorization": authorization} if authorization else {}
    answer = httpx.get(f"{platform.url}/v1/users", headers=headers)
    _check(answer, 401, None)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_forged_page_token(api: httpx.Client) -> None:
    seen = {"Consistency-Token": create(api, "ada").headers["Consistency-Token"]}
    page = api.get("/v1/users", params={"page_size": 1}, headers=seen)  # the first user and Ada
    token = page.json()["next_page_token"]
    for forged in _forged(token):
        answer = api.get("/v1/users", params={"page_size": 1, "page_token": forged})
        _check(answer, 400, "page_token")
    of_another_list = {"page_size": 1, "page_token": token, "status": "active"}
    _check(api.get("/v1/users", params=of_another_list), 400, "page_token")


def test_a_forged_consistency_token(api: httpx.Client) -> None:
    created = create(api, "ada")
    for forged in _forged(created.headers["Consistency-Token"]):
        headers = {"Consistency-Token": forged}
        _check(api.get("/v1/users", headers=headers), 400, "Consistency-Token")
        refused = api.post("/v1/users", json=USER, headers=headers)
        _check(refused, 400, "Consistency-Token")


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_an_email_already_taken(api: httpx.Client, change: Any) -> None:
    email = create(api, "Ada").json()["email"]
    _check(api.post("/v1/users", json=USER | {"email": change(email)}), 409, "email")
    other = create(api, "eve").headers["Location"]
    _check(api.patch(other, json={"email": change(email)}), 409, "email")


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_a_role_name_already_taken(api: httpx.Client, change: Any) -> None:
    name = new_email("role").partition("@")[0]
    assert api.post("/v1/roles", json={"name": name, "permissions": []}).status_code == 201
    again = api.post("/v1/roles", json={"name": change(name), "permissions": []})
    _check(again, 409, "name")


def test_nothing_of_it_was_done(api: httpx.Client) -> None:
    found = api.get("/v1/users", params={"email": USER["email"]})
    assert found.json()["users"] == []


def _forged(token: str) -> Iterator[str]:
    """The token with one character changed: at the start, in the middle, in the signature."""
    for place in (0, len(token) // 2, len(token) - 2):
        other = "A" if token[place] != "A" else "B"
        yield token[:place] + other + token[place + 1 :]


def _check(answer: httpx.Response, status: int, field: str | None) -> None:
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:rollcall:problem:")
    assert problem["title"]
    assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])
