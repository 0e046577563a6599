"""user-management slow, gone, back, refusing; the gateway overloaded, stopping, at fault."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import grpc
import httpx
import pytest

from rollcall_gateway import clients, representations, users
from rollcall_gateway import gateway as gateway_module
from rollcall_gateway.server import HttpServer
from rollcall_gateway.testing import Memory, RefusedError

Code = grpc.StatusCode
ADA = {"email": "ada@example.com", "name": "Ada"}
UNREACHABLE = "/v1/users/01900000-0000-7000-8000-00000000ffff"
PROMISED = 2.0  # seconds within which a client is told that somebody is away
JITTER = 0.2  # by which gRPC makes a pause between two attempts longer or shorter


class Replicas(Protocol):
    def start(self, memory: Memory, port: int = 0, max_calls: int | None = None) -> int: ...
    def kill(self, port: int) -> None: ...
    def hold(self, memory: Memory) -> Callable[[], None]: ...


Start = Callable[..., HttpServer]
Headers = Callable[..., dict[str, str]]


@pytest.fixture
def open_client(start_gateway: Start, headers: Headers) -> Iterator[Callable[..., httpx.Client]]:
    """A gateway of the test's own in front of the given replicas."""
    opened: list[tuple[HttpServer, httpx.Client]] = []

    def make(*ports: int, **variables: str) -> httpx.Client:
        gateway = start_gateway(*ports, **variables)
        address = f"http://127.0.0.1:{gateway.port}"
        client = httpx.Client(base_url=address, headers=headers(), timeout=15, verify=False)
        opened.append((gateway, client))
        return client

    yield make
    for gateway, client in opened:
        client.close()
        gateway.stop()


def post(client: httpx.Client, number: int = 0) -> httpx.Response:
    return client.post("/v1/users", json=ADA | {"email": f"u{number}@example.com"})


def begun(client: httpx.Client, **request: Any) -> socket.socket:
    """A creation on a connection of its own, which can be left before the answer."""
    built = client.build_request("POST", "/v1/users", **request)
    head = "".join(f"{name}: {value}\r\n" for name, value in built.headers.items())
    address = (client.base_url.host, client.base_url.port or 80)
    connection = socket.create_connection(address, timeout=5)
    connection.sendall(f"POST /v1/users HTTP/1.1\r\n{head}\r\n".encode() + built.content)
    return connection


REFUSALS = {
    "BUSY": (Code.ABORTED, 503),
    "OUTCOME_UNKNOWN": (Code.ABORTED, 503),
    "STORE_BEHIND_LOG": (Code.ABORTED, 503),
    "EVENT_TOO_LARGE": (Code.RESOURCE_EXHAUSTED, 413),
    "ROLE_PROTECTED": (Code.FAILED_PRECONDITION, 409),
    "ID_TAKEN": (Code.ALREADY_EXISTS, 409),
    "USER_NOT_FOUND": (Code.NOT_FOUND, 404),
    "INVALID_CURSOR": (Code.INVALID_ARGUMENT, 400),
    "SOMETHING_NEW": (Code.ABORTED, 503),
    "SOMETHING_ODD": (Code.DATA_LOSS, 502),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_refusal_keeps_its_name(api: httpx.Client, memory: Memory, reason: str) -> None:
    code, status = REFUSALS[reason]
    memory.faults.append(RefusedError(code, reason))
    answer = post(api)
    kind = reason.lower().replace("_", "-")
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:rollcall:problem:{kind}")
    assert ("Retry-After" in answer.headers) is (status == 503)


def test_fields_are_named_as_the_api_names_them(api: httpx.Client, memory: Memory) -> None:
    wrong = {"attributes_patch.a": "is odd", "user_id": "is odd", "role_id": "is odd"}
    memory.faults.append(RefusedError(Code.INVALID_ARGUMENT, "INVALID_FIELD", violations=wrong))
    errors = api.patch(UNREACHABLE, json={}).json()["errors"]
    assert [e["field"] for e in errors] == ["attributes.a", "id", "id"]
    memory.faults.append(RefusedError(Code.INVALID_ARGUMENT, "INVALID_FIELD", violations=wrong))
    errors = api.put(f"{UNREACHABLE}/roles/{UNREACHABLE[-36:]}").json()["errors"]
    assert [e["field"] for e in errors] == ["attributes.a", "id", "role_id"]


def test_an_away_log_is_asked_again_as_the_same_command(api: httpx.Client, memory: Memory) -> None:
    memory.faults.extend(RefusedError(Code.UNAVAILABLE, "LOG_UNAVAILABLE") for _ in range(2))
    assert post(api).status_code == 201
    assert len({context.command_id for context in memory.contexts}) == 1
    assert len(memory.contexts) == 3


def test_a_log_that_stays_away_is_503(api: httpx.Client, memory: Memory) -> None:
    memory.faults.extend(RefusedError(Code.UNAVAILABLE, "LOG_UNAVAILABLE") for _ in range(5))
    answer = post(api)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["type"] == "urn:rollcall:problem:log-unavailable"
    assert len(memory.contexts) == 5


def test_a_replica_that_dies_is_passed_over(
    neighbours: Replicas, own_memory: Memory, open_client: Callable[..., httpx.Client]
) -> None:
    first, second = neighbours.start(own_memory), neighbours.start(own_memory)
    client = open_client(first, second, 1)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(post, client, n) for n in range(300)]
        answers[50].result()
        neighbours.kill(first)
        statuses = [answer.result().status_code for answer in answers]
    assert set(statuses) == {201}
    assert len(own_memory.live) == 300
    neighbours.kill(second)


def test_a_command_in_the_hands_of_a_dying_replica_is_made_once(
    neighbours: Replicas, own_memory: Memory, open_client: Callable[..., httpx.Client]
) -> None:
    first = neighbours.start(own_memory)
    client = open_client(first)
    release = neighbours.hold(own_memory)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, client)
        own_memory.entered.wait(5)
        neighbours.kill(first)
        neighbours.start(own_memory, first)
        release()
        assert answer.result().status_code == 201
    assert len(own_memory.live) == 1
    assert len({context.command_id for context in own_memory.contexts}) == 1
    neighbours.kill(first)


def test_a_repetition_waits_for_the_attempt_before_it(
    neighbours: Replicas, own_memory: Memory, open_client: Callable[..., httpx.Client]
) -> None:
    """Also if its client has given up: one of the two might be refused, and the other be done."""
    port = neighbours.start(own_memory)
    client = open_client(port)
    keyed: dict[str, Any] = {"json": ADA, "headers": {"Idempotency-Key": "k"}}
    release = neighbours.hold(own_memory)
    with begun(client, **keyed):
        assert own_memory.entered.wait(5)
    own_memory.entered.clear()
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(client.post, "/v1/users", **keyed)
        assert not own_memory.entered.wait(0.5)
        release()
        assert again.result().status_code == 201
    assert len(own_memory.live) == 1
    neighbours.kill(port)


def test_a_command_that_died_with_the_only_replica_is_in_doubt(
    neighbours: Replicas, own_memory: Memory, open_client: Callable[..., httpx.Client]
) -> None:
    port = neighbours.start(own_memory)
    client = open_client(port)
    assert client.get("/v1/users").status_code == 200
    release = neighbours.hold(own_memory)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, client)
        own_memory.entered.wait(5)
        neighbours.kill(port)
        assert answer.result().json()["type"] == "urn:rollcall:problem:outcome-unknown"
    release()
    assert post(client).json()["type"] == "urn:rollcall:problem:unavailable"


def test_the_pauses_between_all_attempts_are_shorter_than_is_promised() -> None:
    """By their numbers, whatever a busy machine adds to what is measured below."""
    policy = clients.RETRY_POLICY
    first, most = (float(policy[n].removesuffix("s")) for n in ("initialBackoff", "maxBackoff"))
    growth, attempts = policy["backoffMultiplier"], policy["maxAttempts"]
    pauses = [min(first * growth**n, most) for n in range(attempts - 1)]
    assert sum(pauses) * (1 + JITTER) < PROMISED


def test_nobody_there_is_503_within_2_seconds_and_over_when_they_are_back(
    neighbours: Replicas, own_memory: Memory, open_client: Callable[..., httpx.Client]
) -> None:
    port = neighbours.start(own_memory)
    client = open_client(port, 1, 2)
    neighbours.kill(port)
    started = time.monotonic()
    answer = post(client)
    assert time.monotonic() - started < PROMISED
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    neighbours.start(own_memory, port)
    deadline = time.monotonic() + 5
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)  # between two polls
    assert post(client).status_code == 201
    neighbours.kill(port)


def test_of_many_at_once_each_is_told_that_nobody_is_there(
    neighbours: Replicas, own_memory: Memory, open_client: Callable[..., httpx.Client]
) -> None:
    port = neighbours.start(own_memory)
    client = open_client(port)
    assert post(client).status_code == 201
    neighbours.kill(port)
    with ThreadPoolExecutor(8) as pool:
        started = time.monotonic()
        answers = list(pool.map(lambda n: post(client, n), range(8)))
        assert time.monotonic() - started < PROMISED
    assert {(a.status_code, a.headers["Retry-After"]) for a in answers} == {(503, "1")}
    kinds = {a.json()["type"].removeprefix("urn:rollcall:problem:") for a in answers}
    assert kinds <= {"unavailable", "outcome-unknown"}  # the first may find it dying


def test_of_many_at_once_each_is_told_that_the_log_is_away(
    api: httpx.Client, memory: Memory
) -> None:
    memory.faults.extend(RefusedError(Code.UNAVAILABLE, "LOG_UNAVAILABLE") for _ in range(48))
    with ThreadPoolExecutor(8) as pool:
        started = time.monotonic()
        answers = list(pool.map(lambda n: post(api, n), range(8)))
        assert time.monotonic() - started < PROMISED
    assert {(a.status_code, a.headers["Retry-After"]) for a in answers} == {(503, "1")}
    assert {a.json()["type"] for a in answers} == {"urn:rollcall:problem:log-unavailable"}
    memory.faults.clear()
    assert post(api).status_code == 201


def test_a_client_that_leaves_takes_nobody_along(
    api: httpx.Client, memory: Memory, neighbours: Replicas
) -> None:
    release = neighbours.hold(memory)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(post, api, 0)
        memory.entered.wait(5)
        begun(api, json=ADA).close()
        others = [pool.submit(post, api, n) for n in (1, 2)]
        release()
        assert {answer.result().status_code for answer in (first, *others)} == {201}


def test_without_an_answer_a_command_is_in_doubt_and_a_query_is_not(
    api: httpx.Client, memory: Memory, neighbours: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "COMMAND_DEADLINE", 0.2)
    monkeypatch.setattr(gateway_module, "QUERY_DEADLINE", 0.2)
    release = neighbours.hold(memory)
    command, query = post(api), api.get("/v1/users")
    release()
    assert command.json()["type"] == "urn:rollcall:problem:outcome-unknown"
    assert query.json()["type"] == "urn:rollcall:problem:unavailable"
    assert command.status_code == query.status_code == 503
    assert "Retry-After" in command.headers


def test_too_many_at_once_are_told_to_come_back(
    neighbours: Replicas, own_memory: Memory, open_client: Callable[..., httpx.Client]
) -> None:
    port = neighbours.start(own_memory)
    client = open_client(port, GATEWAY_MAX_IN_FLIGHT="1")
    release = neighbours.hold(own_memory)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client)
        own_memory.entered.wait(5)
        second = client.get("/v1/users")
        assert client.get("/healthz").status_code == 200
        release()
        assert first.result().status_code == 201
    assert (second.status_code, second.headers["Retry-After"]) == (503, "1")
    assert second.json()["type"] == "urn:rollcall:problem:overloaded"
    assert client.get("/v1/users").status_code == 200
    neighbours.kill(port)


def test_a_replica_with_too_many_calls_says_so(
    neighbours: Replicas, own_memory: Memory, open_client: Callable[..., httpx.Client]
) -> None:
    port = neighbours.start(own_memory, max_calls=1)
    client = open_client(port)
    release = neighbours.hold(own_memory)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client)
        own_memory.entered.wait(5)
        refused = [client.get("/v1/users"), post(client, 1)]
        release()
        assert first.result().status_code == 201
    for answer in refused:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json()["type"] == "urn:rollcall:problem:overloaded"
    assert len(own_memory.contexts) == 1
    neighbours.kill(port)


def test_an_answer_too_large_asks_for_a_smaller_page(api: httpx.Client) -> None:
    # 120 users of 300 kB are more than the channel takes; each alone is not.
    big = {"text": "x" * 300_000}
    for n in range(120):
        api.post("/v1/users", json=ADA | {"email": f"u{n}@example.com", "attributes": big})
    answer = api.get("/v1/users?page_size=200")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "page_size")
    assert api.get("/v1/users?page_size=50").status_code == 200


def test_a_fault_of_ours_is_one_500_and_one_line_without_personal_data(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(message: Any) -> representations.User:
        raise ValueError(message.email)

    monkeypatch.setattr(users, "user", broken)
    with caplog.at_level(logging.ERROR):
        answer = post(api)
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:rollcall:problem:internal")
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["route"]) == ("a request failed", "/v1/users")
    assert "example.com" not in answer.text
    assert "example.com" not in str({**vars(record), "exc_info": None, "exc_text": None})
