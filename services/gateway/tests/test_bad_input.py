"""Whatever a client sends wrong has its status, and a problem that names what is at fault."""

import json
from typing import Any

import httpx
import pytest

from rollcall_gateway.testing import TOPIC_ID, Memory
from rollcall_gateway.tokens import ConsistencyTokens, Positions

ADA = {"email": "ada@example.com", "name": "Ada"}
UNKNOWN = "/v1/users/01900000-0000-7000-8000-00000000ffff"
MALFORMED = "/v1/users/not-a-uuid"
JSON = {"Content-Type": "application/json"}
MEBIBYTE = 1024 * 1024
FORGED = ConsistencyTokens(b"x" * 40).write(Positions(TOPIC_ID, {1: 1}))
TOO_MANY = ConsistencyTokens(b"a secret of the tests, and long enough").write(
    Positions(TOPIC_ID, dict.fromkeys(range(51), 0))
)


def nested(depth: int) -> bytes:
    inner = b'{"a":' * depth + b"1" + b"}" * depth
    return b'{"email":"ada@example.com","name":"Ada","attributes":' + inner + b"}"


def user(**changed: Any) -> bytes:
    return json.dumps(ADA | changed).encode()


# body of POST /v1/users, status, field
BODIES = {
    "empty": (b"", 400, None),
    "not JSON": (b"{", 400, None),
    "not UTF-8": (b'{"email":"\xff","name":"A"}', 400, None),
    "NaN": (b'{"email":"a@b","name":"A","attributes":{"n":NaN}}', 400, None),
    "text after it": (user() + b"x", 400, None),
    "a byte order mark": (b"\xef\xbb\xbf" + user(), 400, None),
    "an array": (b"[]", 422, "body"),
    "null": (b"null", 422, "body"),
    "name missing": (b'{"email":"a@example.com"}', 422, "name"),
    "name a number": (user(name=1), 422, "name"),
    "name null": (user(name=None), 422, "name"),
    "name an endless nest": (b'{"name":' + b"[" * 100_000, 422, "name"),
    "name of 1 MiB": (user(name="x" * MEBIBYTE), 422, "name"),
    "name with NUL": (user(name="a\0b"), 422, "name"),
    "name with a line break": (user(name="a\nb"), 422, "name"),
    "name with a trailing line break": (user(name="a\n"), 422, "name"),
    "name with a C1 control": (user(name="a\x85"), 422, "name"),
    "name with a lone surrogate": (user(name="a\ud800"), 422, "name"),
    "locale with a control": (user(locale="e\x07"), 422, "locale"),
    "a bad e-mail": (user(email="nobody"), 422, "email"),
    "a field's name a lone surrogate": (b'{"\\ud800":1,"email":"a@x.org","name":"A"}', 422, "?"),
    "an unknown field": (user(admin=True), 422, "admin"),
    "a read-only field": (user(version=3), 422, "version"),
    "attributes a list": (user(attributes=[1]), 422, "attributes"),
    "attributes with NUL": (user(attributes={"a": ["b", "\0"]}), 422, "attributes.a[1]"),
    "attributes' key with NUL": (user(attributes={"a\0": 1}), 422, "attributes"),
    "attributes with a surrogate": (user(attributes={"a": "\udfff"}), 422, "attributes.a"),
    "attributes 21 deep": (nested(21), 422, "attributes"),
    "attributes 500 deep": (nested(500), 422, "attributes"),
    "attributes 100000 deep": (nested(100_000), 422, "attributes"),
    "an inexact integer": (user(attributes={"a": 2**53}), 422, "attributes.a"),
    "an integer of 30 digits": (user(attributes={"a": 10**30}), 422, "attributes.a"),
    "too many values": (user(attributes={"a": [0] * 60_000}), 422, "attributes"),
    "more than 2 MiB": (user(name="x" * 2 * MEBIBYTE), 413, None),
}


def check(answer: httpx.Response, status: int, field: str | None) -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    assert answer.status_code == problem["status"] == status, answer.text[:500]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["type"].startswith("urn:rollcall:problem:")
    assert problem["title"]
    assert problem["detail"]
    if field is not None:
        assert [e["field"] for e in problem["errors"]] == [field]
        assert all(e["message"] for e in problem["errors"])
    return problem


@pytest.mark.parametrize(("body", "status", "field"), BODIES.values(), ids=BODIES.keys())
def test_bodies(
    api: httpx.Client, memory: Memory, body: bytes, status: int, field: str | None
) -> None:
    check(api.post("/v1/users", content=body, headers=JSON), status, field)
    assert not memory.live


PERMISSIONS = json.dumps(
    {"name": "a", "permissions": ["\1"] * 201}
).encode()  # nor is one looked at
ROLE = UNKNOWN.replace("users", "roles")

# method, path, headers, body, status, field
REQUESTS = {
    "no route": ("GET", "/v1/nothing", {}, None, 404, None),
    "no route beside /v1": ("GET", "/nothing", {}, None, 404, None),
    "a slash too many": ("GET", "/v1/users/", {}, None, 404, None),
    "no such method": ("PUT", "/v1/users", {}, None, 405, None),
    "OPTIONS": ("OPTIONS", "/v1/users", {}, None, 405, None),
    "form": ("POST", "/v1/users", {"Content-Type": "text/plain"}, b"a=b", 415, None),
    "no type": ("POST", "/v1/users", {}, user(), 415, None),
    "latin-1": (
        "POST",
        "/v1/users",
        {"Content-Type": "application/json; charset=latin-1"},
        user(),
        415,
        None,
    ),
    "gzip": ("POST", "/v1/users", JSON | {"Content-Encoding": "gzip"}, user(), 415, None),
    "JSON patch": (
        "PATCH",
        UNKNOWN,
        {"Content-Type": "application/json-patch+json"},
        b"[]",
        415,
        None,
    ),
    "unknown id": ("GET", UNKNOWN, {}, None, 404, None),
    "unknown id changed": ("PATCH", UNKNOWN, JSON, b"{}", 404, None),
    "unknown id deleted": ("DELETE", UNKNOWN, {}, None, 404, None),
    "unknown role": ("GET", ROLE, {}, None, 404, None),
    "malformed id": ("GET", MALFORMED, {}, None, 422, "id"),
    "malformed id deleted": ("DELETE", MALFORMED, {}, None, 422, "id"),
    "id without hyphens": ("GET", "/v1/users/" + "0" * 32, {}, None, 422, "id"),
    "id not UTF-8": ("GET", "/v1/users/%ff", {}, None, 422, "id"),
    "id with NUL": ("GET", "/v1/users/%00", {}, None, 422, "id"),
    "malformed role_id": ("PUT", f"{UNKNOWN}/roles/admin", {}, None, 422, "role_id"),
    "name null": ("PATCH", UNKNOWN, JSON, b'{"name":null}', 422, "name"),
    "email null": ("PATCH", UNKNOWN, JSON, b'{"email":null}', 422, "email"),
    "status unknown": ("PATCH", UNKNOWN, JSON, b'{"status":"gone"}', 422, "status"),
    "status null": ("PATCH", UNKNOWN, JSON, b'{"status":null}', 422, "status"),
    "patch an array": ("PATCH", UNKNOWN, JSON, b"[]", 422, "body"),
    "permissions text": (
        "POST",
        "/v1/roles",
        JSON,
        b'{"name":"a","permissions":"*"}',
        422,
        "permissions",
    ),
    "permission a number": (
        "POST",
        "/v1/roles",
        JSON,
        b'{"name":"a","permissions":["*",1]}',
        422,
        "permissions[1]",
    ),
    "permission with a control": (
        "POST",
        "/v1/roles",
        JSON,
        b'{"name":"a","permissions":["\\u0001"]}',
        422,
        "permissions[0]",
    ),
    "201 permissions": ("POST", "/v1/roles", JSON, PERMISSIONS, 422, "permissions"),
    "201 permissions of a role": ("PATCH", ROLE, JSON, PERMISSIONS, 422, "permissions"),
    "unknown parameter": ("GET", "/v1/users?limit=3", {}, None, 400, "limit"),
    "parameter of no query": ("GET", UNKNOWN + "?when=now", {}, None, 400, "when"),
    "parameter of a command": ("DELETE", UNKNOWN + "?force=1", {}, None, 400, "force"),
    "parameter twice": ("GET", "/v1/users?q=a&q=b", {}, None, 400, "q"),
    "query not UTF-8": ("GET", "/v1/users?q=%ff", {}, None, 400, None),
    "too many parameters": ("GET", "/v1/users?" + "a&" * 60, {}, None, 400, None),
    "q with NUL": ("GET", "/v1/users?q=%00", {}, None, 422, "q"),
    "q of 2000 characters": ("GET", "/v1/users?q=" + "x" * 2000, {}, None, 422, "q"),
    "status filter": ("GET", "/v1/users?status=gone", {}, None, 422, "status"),
    "order": ("GET", "/v1/users?order_by=age", {}, None, 422, "order_by"),
    **{
        f"page_size {size}": ("GET", f"/v1/users?page_size={size}", {}, None, 422, "page_size")
        for size in ("0", "-1", "201", "1000000000", "9" * 40, "ten", "1.5", "", "%31%00", "null")
    },
    "roles' page_size": ("GET", "/v1/roles?page_size=0", {}, None, 422, "page_size"),
    "forged page token": ("GET", "/v1/users?page_token=AAAA", {}, None, 400, "page_token"),
    "endless page token": (
        "GET",
        "/v1/users?page_token=" + "A" * 9000,
        {},
        None,
        400,
        "page_token",
    ),
    **{
        f"consistency token {name}": (
            method,
            path,
            JSON | {"Consistency-Token": token},
            body,
            400,
            "Consistency-Token",
        )
        for name, token in {
            "forged": FORGED,
            "empty": "",
            "noise": "%%%",
            "too long": "A" * 9000,
            "of too many positions": TOO_MANY,
        }.items()
        for method, path, body in [("GET", "/v1/users", None), ("POST", "/v1/users", user())]
    },
    **{
        f"If-Match {tag}": ("DELETE", UNKNOWN, {"If-Match": tag}, None, 400, "If-Match")
        for tag in ("", "3", '"a"', 'W/"3"', '"1", "2"', '"-1"', '"' + "9" * 30 + '"')
    },
}


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "field"), REQUESTS.values(), ids=REQUESTS.keys()
)
def test_requests(
    api: httpx.Client,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes | None,
    status: int,
    field: str | None,
) -> None:
    check(api.request(method, path, headers=headers, content=body), status, field)


def test_every_wrong_field_is_named_at_once(api: httpx.Client) -> None:
    body = {"email": 1, "locale": [], "attributes": 2, "extra": 3, "name": "a\0"}
    problem = api.post("/v1/users", json=body).json()
    assert {e["field"] for e in problem["errors"]} == {*body}


def test_405_and_415_say_what_would_do(api: httpx.Client) -> None:
    assert api.put("/v1/users").headers["Allow"] == "GET, HEAD, POST"
    assert api.post(UNKNOWN).headers["Allow"] == "DELETE, GET, HEAD, PATCH"
    patched = api.patch(UNKNOWN, content=b"{}", headers={"Content-Type": "text/plain"})
    assert "application/merge-patch+json" in patched.headers["Accept-Patch"]


def test_a_header_given_twice_is_refused(api: httpx.Client) -> None:
    token = api.post("/v1/users", json=ADA).headers["Consistency-Token"]
    twice = [("Consistency-Token", token), ("Consistency-Token", token)]
    check(api.get("/v1/users", headers=twice), 400, "Consistency-Token")


def test_a_token_is_neither_read_nor_echoed_from_a_refusal(api: httpx.Client) -> None:
    answer = api.get("/v1/users", headers={"Consistency-Token": FORGED})
    assert FORGED not in answer.text
    assert "Consistency-Token" not in answer.headers


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@Example.com"])
def test_a_taken_email_is_409(api: httpx.Client, email: str) -> None:
    api.post("/v1/users", json=ADA)
    problem = check(api.post("/v1/users", json=ADA | {"email": email}), 409, "email")
    assert problem["type"] == "urn:rollcall:problem:email-taken"
    assert email not in json.dumps(problem)


def test_a_taken_role_name_is_409(api: httpx.Client) -> None:
    api.post("/v1/roles", json={"name": "editor", "permissions": []})
    answer = api.post("/v1/roles", json={"name": "Editor", "permissions": []})
    assert check(answer, 409, "name")["type"] == "urn:rollcall:problem:role-name-taken"


def test_an_unknown_role_cannot_be_assigned(api: httpx.Client) -> None:
    path = api.post("/v1/users", json=ADA).headers["Location"]
    answer = api.put(f"{path}/roles/01900000-0000-7000-8000-00000000ffff")
    assert check(answer, 404, None)["type"] == "urn:rollcall:problem:role-not-found"


def test_a_body_without_length_is_bounded_too(api: httpx.Client) -> None:
    chunks = (b"x" * 65536 for _ in range(40))
    check(api.post("/v1/users", content=chunks, headers=JSON), 413, None)
    assert api.get("/v1/users").status_code == 200
