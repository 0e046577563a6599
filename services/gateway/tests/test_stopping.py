"""A gateway told to stop while it has a request in hand."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import httpx
import pytest

from rollcall_gateway import server
from rollcall_gateway.server import HttpServer
from rollcall_gateway.testing import Memory


class Replicas(Protocol):
    def start(self, memory: Memory) -> int: ...
    def kill(self, port: int) -> None: ...
    def hold(self, memory: Memory) -> Callable[[], None]: ...


def post(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/users", json={"email": "ada@example.com", "name": "Ada"})


class Stopping:
    def __init__(self, client: httpx.Client, gateway: HttpServer, memory: Memory):
        self.pool = ThreadPoolExecutor(1)
        self.began = time.monotonic()
        self.answer = self.pool.submit(post, client)
        memory.entered.wait(5)
        self.thread = threading.Thread(target=gateway.stop)
        self.thread.start()

    def finish(self) -> tuple[httpx.Response, bool]:
        answer = self.answer.result()
        self.thread.join(6)
        self.pool.shutdown()
        return answer, self.thread.is_alive()


@pytest.fixture
def stopping(
    neighbours: Replicas,
    own_memory: Memory,
    start_gateway: Callable[..., HttpServer],
    headers: Callable[..., dict[str, str]],
) -> Iterator[tuple[Stopping, Callable[[], None]]]:
    port = neighbours.start(own_memory)
    gateway = start_gateway(port)
    release = neighbours.hold(own_memory)
    address = f"http://127.0.0.1:{gateway.port}"
    with httpx.Client(base_url=address, headers=headers(), timeout=15) as client:
        yield Stopping(client, gateway, own_memory), release
    release()
    neighbours.kill(port)
    assert not gateway.failed.is_set()


def test_stopping_finishes_what_is_in_hand(
    stopping: tuple[Stopping, Callable[[], None]],
) -> None:
    stop, release = stopping
    release()
    answer, alive = stop.finish()
    assert (answer.status_code, alive) == (201, False)


def test_stopping_cuts_short_what_takes_too_long(
    stopping: tuple[Stopping, Callable[[], None]],
) -> None:
    stop, _ = stopping
    answer, alive = stop.finish()
    took = time.monotonic() - stop.began
    assert (answer.status_code, alive) == (503, False)
    assert answer.json()["type"] == "urn:rollcall:problem:outcome-unknown"
    patience = server.LEAVING_SECONDS + server.DRAIN_SECONDS
    assert patience <= took < patience + 1


def test_a_client_is_told_to_go_elsewhere_before_it_is_refused(
    start_gateway: Callable[..., HttpServer], own_memory: Memory, neighbours: Replicas
) -> None:
    """It keeps its connection, and asks one thing after the other."""
    port = neighbours.start(own_memory)
    gateway = start_gateway(port)
    with httpx.Client(base_url=f"http://127.0.0.1:{gateway.port}", timeout=15) as client:
        assert "Connection" not in client.get("/healthz").headers
        stopping = threading.Thread(target=gateway.stop)
        stopping.start()
        told = False
        while not told:
            answer = client.get("/healthz")
            told = answer.headers.get("Connection") == "close"
        assert not gateway.ready()
        assert client.get("/readyz").status_code == 503
    stopping.join(6)
    neighbours.kill(port)
