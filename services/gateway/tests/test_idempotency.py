"""Idempotency-Key: one request in effect, however often it is sent."""

from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pytest

from rollcall_gateway.idempotency import command_id
from rollcall_gateway.testing import Memory, RefusedError

ADA = {"email": "ada@example.com", "name": "Ada", "attributes": {"b": 1, "a": [2, None]}}
ROLE = {"name": "editor", "permissions": ["docs:write"]}
CREATIONS: list[tuple[str, dict[str, Any]]] = [("/v1/users", ADA), ("/v1/roles", ROLE)]
PROBLEM = "urn:rollcall:problem:"
ABORTED = grpc.StatusCode.ABORTED
OWN = {"date", "x-correlation-id"}  # an answer's own, whatever it says

Headers = Callable[..., dict[str, str]]


def post(
    api: httpx.Client,
    key: str | bytes,
    body: dict[str, Any] = ADA,
    path: str = "/v1/users",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    given = {name.encode(): value.encode() for name, value in (headers or {}).items()}
    given[b"Idempotency-Key"] = key if isinstance(key, bytes) else key.encode()
    return api.post(path, json=body, headers=given)


def told(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    headers = [(k, v) for k, v in answer.headers.items() if k not in OWN]
    return answer.status_code, answer.content, headers


def problem(answer: httpx.Response) -> tuple[int, str, list[str]]:
    document = answer.json()
    fields = [error["field"] for error in document.get("errors", [])]
    return answer.status_code, document["type"].removeprefix(PROBLEM), fields


@pytest.mark.parametrize(("path", "body"), CREATIONS)
def test_a_repeat_is_given_the_first_answer(
    api: httpx.Client, memory: Memory, path: str, body: dict[str, Any]
) -> None:
    first = post(api, '"k"', body, path)
    assert first.status_code == 201
    api.patch(first.headers["Location"], json={"name": "another by now"})
    assert told(post(api, '"k"', body, path)) == told(first)
    assert len(memory.live) == 1


@pytest.mark.parametrize(
    ("quoted", "bare"),
    [('"k-1"', "k-1"), (r'"a\\b\"c"', r'a\b"c'), (f'"{"x" * 255}"', "x" * 255), ('"a,b"', "a,b")],
)
def test_quotes_are_not_of_the_key(api: httpx.Client, quoted: str, bare: str) -> None:
    assert told(post(api, quoted)) == told(post(api, bare))


def test_the_order_of_members_and_spaces_do_not_make_another_body(api: httpx.Client) -> None:
    first = post(api, "k")
    turned = dict(reversed(ADA.items())) | {"attributes": {"a": [2, None], "b": 1}}
    assert told(post(api, "k", turned)) == told(first)


@pytest.mark.parametrize(
    "changed", [{"name": "Bob"}, {"email": "b@example.com"}, {"attributes": {}}, {"locale": "en"}]
)
def test_another_body_is_refused(
    api: httpx.Client, memory: Memory, changed: dict[str, Any]
) -> None:
    post(api, "k")
    answer = post(api, "k", ADA | changed)
    assert problem(answer) == (422, "idempotency-key-reused", ["Idempotency-Key"])
    assert len(memory.live) == 1


def test_a_key_is_of_one_principal_and_one_route(
    api: httpx.Client, memory: Memory, headers: Headers
) -> None:
    other = headers(sub="services/platform")
    assert post(api, "k").status_code == 201
    assert post(api, "k", ADA | {"email": "b@example.com"}, headers=other).status_code == 201
    assert post(api, "k", ROLE, "/v1/roles").status_code == 201
    assert len({context.command_id for context in memory.contexts}) == 3


def test_no_two_scopes_have_the_same_command_id() -> None:
    scopes = [
        ("users/1", "POST", "/v1/users", "k"),
        ("users/1", "POST", "/v1/roles", "k"),
        ("users/1", "POST", "/v1/user", "sk"),
        ("users/1", "PUT", "/v1/users", "k"),
        ("users/11", "POST", "/v1/users", "k"),
        ("users/1", "POST", "/v1/users", "K"),
    ]
    ids = {command_id(*scope) for scope in scopes}
    assert len(ids) == len(scopes)
    assert {len(i) for i in ids} == {44}
    assert command_id(*scopes[0]) == "key-e0d1984cb388418d5e734c642698cffabf2e1125"


def test_without_a_key_each_request_is_its_own(api: httpx.Client, memory: Memory) -> None:
    assert api.post("/v1/users", json=ADA).status_code == 201
    assert api.post("/v1/users", json=ADA).status_code == 409
    first, second = (context.command_id for context in memory.contexts)
    assert first != second
    assert first[14] == second[14] == "7"


@pytest.mark.parametrize(
    "key",
    [
        "", '""', '"', '"k', 'k"x" y', "two words", '"two words"', '"k";a=1', '"a", "b"', r'"\k"',
        '"a"b"', "x" * 256, f'"{"x" * 256}"', "ключ".encode(), b"k\xff",
    ],
)  # fmt: skip
def test_malformed_keys(api: httpx.Client, memory: Memory, key: str | bytes) -> None:
    assert problem(post(api, key)) == (400, "malformed-request", ["Idempotency-Key"])
    assert not memory.contexts


def test_a_key_given_twice(api: httpx.Client, memory: Memory) -> None:
    twice = [("Idempotency-Key", "k"), ("Idempotency-Key", "k")]
    answer = api.post("/v1/users", json=ADA, headers=twice)
    assert problem(answer) == (400, "malformed-request", ["Idempotency-Key"])
    assert answer.json()["detail"] == "Idempotency-Key is given more than once."
    assert not memory.contexts


def test_methods_that_are_idempotent_anyway_ignore_it(api: httpx.Client) -> None:
    path = post(api, "k").headers["Location"]
    for key in ("k", "not a key"):
        given = {"Idempotency-Key": key}
        assert api.get(path, headers=given).status_code == 200
        assert api.patch(path, json={"name": key}, headers=given).json()["name"] == key
    assert api.delete(path, headers={"Idempotency-Key": "k"}).status_code == 204


def test_a_refused_request_left_no_trace(api: httpx.Client) -> None:
    taken = api.post("/v1/users", json=ADA).headers["Location"]
    assert post(api, "k").status_code == 409
    api.delete(taken)
    assert post(api, "k").status_code == 201


def test_a_repeat_while_the_first_is_in_flight(api: httpx.Client, memory: Memory) -> None:
    memory.faults.append(RefusedError(ABORTED, "IN_FLIGHT"))
    answer = post(api, "k")
    assert problem(answer) == (409, "idempotency-key-in-flight", ["Idempotency-Key"])
    assert answer.headers["Retry-After"] == "1"
    assert "still in flight" in answer.json()["detail"]
    memory.faults.append(RefusedError(ABORTED, "IN_FLIGHT"))
    assert problem(api.post("/v1/users", json=ADA)) == (503, "outcome-unknown", [])


def test_an_unknown_outcome_says_how_to_find_out(api: httpx.Client, memory: Memory) -> None:
    memory.faults.append(RefusedError(ABORTED, "OUTCOME_UNKNOWN"))
    answer = post(api, "k")
    assert problem(answer) == (503, "outcome-unknown", [])
    assert answer.headers["Retry-After"] == "1"
    assert "repeat with the same Idempotency-Key" in answer.json()["detail"]
    assert post(api, "k").status_code == 201
