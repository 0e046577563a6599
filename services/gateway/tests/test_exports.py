"""The audit trail as an export: the same events, in one answer, at its client's pace."""

import csv
import io
import json
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import grpc
import httpx
import pytest
from support.waiting import eventually

from rollcall.users.v1.queries_pb2 import HistoryEvent
from rollcall_gateway import exports
from rollcall_gateway.server import HttpServer
from rollcall_gateway.testing import Memory, RefusedError

CSV = {"Accept": "text/csv"}
NDJSON = {"Accept": "application/x-ndjson"}
SUBJECT = "users/01900000-0000-7000-8000-00000000ffff"


class Replicas(Protocol):
    def hold(self, memory: Memory) -> Callable[[], None]: ...


def fill(memory: Memory, count: int, **said: Any) -> None:
    for n in range(count):
        event = HistoryEvent(
            id=f"01900000-0000-7000-8000-{n:012x}",
            type="rollcall.users.v1.UserUpdatedEvent",
            version=n + 1,
            actor="users/01900000-0000-7000-8000-000000000001",
            subject=SUBJECT,
            changes='[{"field": "name", "old": "A", "new": "B, \\"C\\"\\nD"}]',
            partition=n % 50,
            offset=n,
        )
        event.recorded_at.FromMilliseconds(1_767_225_600_000 + n)
        for name, value in said.items():
            setattr(event, name, value)
        memory.history.events.append(event)


def fill_up(memory: Memory, thousands: int = 50) -> None:
    """More than fits into the buffers on the way."""
    memory.history.events.clear()
    fill(memory, 1000)
    many = memory.history.events * thousands
    memory.history.chosen = lambda request: many  # type: ignore[method-assign]


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def pages(api: httpx.Client, **filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = api.get("/v1/events", params=filters).json()
        found += page["events"]
        if page["next_page_token"] is None:
            return found
        filters["page_token"] = page["next_page_token"]


@pytest.mark.parametrize("count", [0, 1, 1000, 2345])
def test_an_export_is_all_the_pages(api: httpx.Client, memory: Memory, count: int) -> None:
    fill(memory, count)
    whole = pages(api, page_size="200")
    lines = api.get("/v1/events", headers=NDJSON)
    assert lines.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in lines.text.splitlines()] == whole
    table = rows(api.get("/v1/events", headers=CSV))
    assert len(whole) == len(table) == count
    for event, row in zip(whole, table, strict=True):
        assert json.loads(row["changes"]) == event["changes"]
        assert (row["actor"], row["actor_name"]) == (event["actor"]["id"], "")
        assert row["recorded_at"] == event["recorded_at"]
        assert (row["id"], row["version"]) == (event["id"], str(event["version"]))
        place = event["position"]
        assert [row["topic"], int(row["partition"]), int(row["offset"])] == [*place.values()]


def test_its_head_says_what_it_is(api: httpx.Client, memory: Memory) -> None:
    fill(memory, 1)
    answer = api.get("/v1/events", headers=CSV)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    expected = 'attachment; filename="rollcall-events.csv"'
    assert answer.headers["Content-Disposition"] == expected
    assert answer.headers["Vary"] == api.get("/v1/events").headers["Vary"] == "Accept"
    assert answer.headers["Cache-Control"] == "no-store"
    head, _, rest = answer.text.partition("\r\n")
    assert head.startswith("id,type,version,recorded_at,")
    assert rest.endswith("\r\n")
    alone = api.head("/v1/events", headers=CSV)
    assert (alone.status_code, alone.content) == (200, b"")
    assert alone.headers["Content-Disposition"] == expected


def test_it_is_of_what_the_filters_select(api: httpx.Client, memory: Memory) -> None:
    fill(memory, 3)
    fill(memory, 2, actor="services/platform")
    found = rows(api.get("/v1/events?actor=services/platform", headers=CSV))
    assert {row["actor"] for row in found} == {"services/platform"}
    assert len(found) == 2
    refused = api.get("/v1/events?page_size=3&page_token=x", headers=CSV)
    assert refused.status_code == 400
    assert [e["field"] for e in refused.json()["errors"]] == ["page_size", "page_token"]
    unknown = api.get("/v1/events?subject=users/nobody", headers=CSV)
    assert (unknown.status_code, unknown.headers["Content-Type"]) == (
        404,
        "application/problem+json",
    )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", '="a",'])
def test_no_text_is_a_formula(api: httpx.Client, memory: Memory, text: str) -> None:
    fill(memory, 1, actor_name=text, correlation_id=text, rejected=text)
    (row,) = rows(api.get("/v1/events", headers=CSV))
    told = {row["actor_name"], row["correlation_id"], row["rejected"]}
    assert told == {f"'{text}"}
    (line,) = api.get("/v1/events", headers=NDJSON).text.splitlines()
    assert json.loads(line)["correlation_id"] == text


def test_what_it_cannot_go_on_with_ends_the_connection(api: httpx.Client, memory: Memory) -> None:
    """By a reset: of HTTP/1.0 the end of the connection is the end of the answer."""
    fill(memory, 2500)
    chosen = memory.history.chosen
    asked: list[bytes] = []

    def failing(request: Any) -> list[HistoryEvent]:
        asked.append(request.cursor)
        if len(asked) == 3:
            raise RefusedError(grpc.StatusCode.INTERNAL, "INTERNAL")
        return chosen(request)

    memory.history.chosen = failing  # type: ignore[method-assign]
    for headers in (CSV, NDJSON):
        asked.clear()
        with api.stream("GET", "/v1/events", headers=headers) as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.ReadError):
                list(answer.iter_bytes())
        assert len(asked) == 3
    asked.clear()
    with _asked_for(api, "1.0") as connection, pytest.raises(ConnectionResetError):
        _drain(connection)
    assert api.get("/v1/events?page_size=1").status_code == 200


def test_a_client_that_leaves_ends_it(api: httpx.Client, memory: Memory) -> None:
    fill_up(memory)
    asked = _counted(memory)
    with api.stream("GET", "/v1/events", headers=CSV) as answer:
        next(answer.iter_bytes(1000))
    _wait_until_running(api, 0)
    assert len(asked) < 30  # of 50


def test_it_goes_no_faster_than_its_client_and_others_go_on(
    api: httpx.Client, memory: Memory
) -> None:
    fill_up(memory)
    asked = _counted(memory)
    with _asked_for(api) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        known = -1
        while known != len(asked):  # it goes on until the buffers are full, and then no more
            known = len(asked)
            for _ in range(10):
                assert api.get("/v1/users").status_code == 200
        assert known < 60
    _wait_until_running(api, 0)


def test_a_client_that_takes_nothing_is_cut_off(
    api: httpx.Client, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "TAKEN_SECONDS", 0.2)
    fill_up(memory)
    with _asked_for(api) as connection:
        connection.recv(1000)
        _wait_until_running(api, 0)
        with pytest.raises(ConnectionResetError):
            _drain(connection)


def test_there_are_only_so_many_at_once(
    api: httpx.Client, memory: Memory, neighbours: Replicas
) -> None:
    release = neighbours.hold(memory)
    with ThreadPoolExecutor(exports.MOST_AT_ONCE) as pool:
        going = [
            pool.submit(api.get, "/v1/events", headers=CSV) for _ in range(exports.MOST_AT_ONCE)
        ]
        _wait_until_running(api, exports.MOST_AT_ONCE)
        refused = api.get("/v1/events", headers=CSV)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        release()
        assert {answer.result().status_code for answer in going} == {200}
    assert api.get("/v1/events", headers=CSV).status_code == 200


def test_its_memory_does_not_grow_with_it() -> None:
    """In a process of its own: in this one, whatever other tests have left would be measured."""
    own = [sys.executable, "-m", "pytest", "-q", __file__, "-o", "python_functions=measured_*"]
    done = subprocess.run(own, stdout=subprocess.PIPE, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def measured_memory(api: httpx.Client, memory: Memory) -> None:
    peaks = []
    for thousands in (5, 5, 50):
        fill_up(memory, thousands)
        with api.stream("GET", "/v1/events", headers=CSV) as answer:
            for _ in answer.iter_raw():
                pass
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert peaks[2] - peaks[1] < 8_000  # KiB; the answer has some 15,000


def test_a_stopping_gateway_cuts_it_off(
    neighbours: Any,
    own_memory: Memory,
    start_gateway: Callable[..., HttpServer],
    headers: Callable[..., dict[str, str]],
) -> None:
    fill_up(own_memory)
    port = neighbours.start(own_memory)
    gateway = start_gateway(port)
    address = f"http://127.0.0.1:{gateway.port}"
    with (
        httpx.Client(base_url=address, headers=headers()) as client,
        client.stream("GET", "/v1/events", headers=CSV) as answer,
    ):
        pieces = answer.iter_bytes(1000)
        next(pieces)
        stopping = threading.Thread(target=gateway.stop)
        stopping.start()
        stopping.join(6)
        assert not stopping.is_alive()
        with pytest.raises(httpx.TransportError):
            list(pieces)
    neighbours.kill(port)


def _counted(memory: Memory) -> list[bytes]:
    """The cursors of the pages that are read from now on."""
    chosen, asked = memory.history.chosen, list[bytes]()

    def counting(request: Any) -> list[HistoryEvent]:
        asked.append(request.cursor)
        return chosen(request)

    memory.history.chosen = counting  # type: ignore[method-assign]
    return asked


def _wait_until_running(api: httpx.Client, count: int) -> None:
    """So many requests are in hand, beside the one that asks."""
    line = f"rollcall_gateway_requests_in_flight {count + 1}.0\n"
    eventually(lambda: line in api.get("/metrics").text)


def _asked_for(api: httpx.Client, version: str = "1.1") -> socket.socket:
    """A connection with little room, on which an export is coming."""
    connection = socket.socket()
    connection.settimeout(10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((api.base_url.host, api.base_url.port))
    headers = {"Host": "a", "Authorization": api.headers["Authorization"], **CSV}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection.sendall(f"GET /v1/events HTTP/{version}\r\n{head}\r\n".encode())
    return connection


def _drain(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass
