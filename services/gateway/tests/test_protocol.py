"""Below HTTP's good manners: raw bytes on a socket."""

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from rollcall_gateway import call, joining, protocol
from rollcall_gateway.joining import JoiningTransport
from rollcall_gateway.server import HttpServer


def exchange(gateway: HttpServer, *sent: bytes) -> bytes:
    """Everything that comes back until the gateway closes the connection."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        try:
            for data in sent:
                connection.sendall(data)
        except OSError:
            pass  # it has closed already; its answer is there to be read
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass  # it did not read all that was sent
        return received


def _send(connection: socket.socket, data: bytes, times: int) -> None:
    for _ in range(times):
        connection.sendall(data)


def problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    return int(head[9:12]), json.loads(body)["type"].removeprefix("urn:rollcall:problem:")


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",  # the beginning of TLS
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    ],
)
def test_what_is_not_http_is_400(gateway: HttpServer, sent: bytes) -> None:
    assert problem(exchange(gateway, sent)) == (400, "malformed-request")


def test_an_endless_head_is_431(gateway: HttpServer) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: "
    assert problem(exchange(gateway, head, *[b"x" * 65536] * 4)) == (431, "head-too-large")


CHUNKED = b"GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("endless", [b"a: b\r\n" * 10_000, b"x" * 65_536])
@pytest.mark.parametrize("begun", [b"0\r\n", b"0\r\na: ", b"1;a="])
def test_what_follows_a_body_without_end_ends_the_connection(
    gateway: HttpServer, begun: bytes, endless: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        connection.sendall(CHUNKED + begun)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            _send(connection, endless, times=100)


def test_a_body_in_many_small_chunks_is_none_of_that(
    gateway: HttpServer, headers: Callable[..., dict[str, str]]
) -> None:
    head = (
        "POST /v1/users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n"
        f"Authorization: {headers()['Authorization']}\r\n\r\n"
    )
    chunks = [b"1\r\n \r\n" * 5_000] * 10
    assert problem(exchange(gateway, head.encode(), *chunks, b"0\r\n\r\n"))[0] == 400


def test_a_header_behind_the_body_is_none(
    gateway: HttpServer, headers: Callable[..., dict[str, str]]
) -> None:
    head = CHUNKED.replace(b"Host: a", b"Host: a\r\nConnection: close")
    answer = exchange(gateway, head + b"0\r\nX-Correlation-Id: smuggled\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"smuggled" not in answer


def test_a_head_that_does_not_come_is_not_waited_for(
    gateway: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    assert exchange(gateway, b"GET / HT") == b""


def test_a_later_head_that_does_not_come_is_not_waited_for_either(
    gateway: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    get = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    assert exchange(gateway, get + get[:20]).count(b"HTTP/1.1") == 1


def test_the_heads_of_a_connection_do_not_add_up(gateway: HttpServer) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 6000
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        for _ in range(40):
            connection.sendall(head)
            connection.sendall(b"x" * 6000 + b"\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_body_that_does_not_come_is_408(
    gateway: HttpServer,
    headers: Callable[..., dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call, "BODY_SECONDS", 0.1)
    head = (
        "POST /v1/users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Content-Length: 9\r\nAuthorization: {headers()['Authorization']}\r\n\r\n"
    )
    assert problem(exchange(gateway, head.encode(), b"{")) == (408, "request-timeout")


def test_a_kept_connection_outlives_the_wait_for_a_head(
    gateway: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    get = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    last = get.replace(b"Host: a", b"Host: a\r\nConnection: close")
    assert exchange(gateway, get + get, last).count(b"HTTP/1.1 200 OK") == 3


def test_a_client_that_leaves_is_not_a_fault(
    gateway: HttpServer, headers: Callable[..., dict[str, str]]
) -> None:
    head = (
        "POST /v1/users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Content-Length: 9\r\nAuthorization: {headers()['Authorization']}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        connection.sendall(head.encode() + b"{")
    get = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    deadline = time.monotonic() + 5
    while b'method="POST",route="/v1/users",status="499"' not in exchange(gateway, get):
        assert time.monotonic() < deadline


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": "someone"})
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.written.append(b"closed")


def test_what_is_written_in_one_turn_is_sent_as_one_piece() -> None:
    wire = Wire()

    async def run() -> None:
        transport = JoiningTransport(wire, asyncio.get_running_loop())
        assert transport.get_extra_info("peername") == "someone"
        for _ in range(2):
            transport.write(b"head ")
            transport.write(b"body")
            await asyncio.sleep(0)
        transport.write(b"x" * joining.MAX_PENDING)
        transport.write(b"y")
        assert len(wire.written) == 3  # what is much is not kept
        transport.write(b"last")
        transport.close()
        await asyncio.sleep(0)

    asyncio.run(run())
    assert [piece[:9] for piece in wire.written] == [
        b"head body", b"head body", b"x" * 9, b"last", b"closed",
    ]  # fmt: skip
