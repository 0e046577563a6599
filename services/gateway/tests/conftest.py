"""The real gateway under uvicorn, over real gRPC, with a user-management in memory behind it."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import grpc
import httpx
import jwt
import pytest

from rollcall_gateway.bootstrap import http_server
from rollcall_gateway.server import HttpServer
from rollcall_gateway.settings import Settings
from rollcall_gateway.testing import Memory, new_server

T = TypeVar("T")

SECRET = "a secret of the tests, and long enough"
ACTOR = "users/01900000-0000-7000-8000-000000000001"


class Neighbours:
    """Replicas of the double, on an event loop of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: dict[int, grpc.aio.Server] = {}
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def start(self, memory: Memory, port: int = 0, max_calls: int | None = None) -> int:
        return self.run(self._start(memory, port, max_calls))

    async def _start(self, memory: Memory, port: int, max_calls: int | None) -> int:
        server = new_server(memory, max_calls)
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        self._servers[bound] = server
        return bound

    def kill(self, port: int) -> None:
        """At once: what it had in hand is lost."""
        self.run(self._servers.pop(port).stop(None))

    def hold(self, memory: Memory) -> Callable[[], None]:
        """Every request waits from now on, until what this returns is called."""
        event = asyncio.Event()
        memory.pause = event
        return lambda: self.run(self._release(memory, event))

    async def _release(self, memory: Memory, event: asyncio.Event) -> None:
        memory.pause = None
        event.set()

    def close(self) -> None:
        for port in list(self._servers):
            self.kill(port)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def bearer(**changed: Any) -> dict[str, str]:
    secret = changed.pop("secret", SECRET)
    now = int(time.time())
    claims = {"iss": "rollcall", "aud": "rollcall", "sub": ACTOR, "iat": now, "exp": now + 600}
    claims = {k: v for k, v in (claims | changed).items() if v is not None}
    return {"Authorization": f"Bearer {jwt.encode(claims, secret, 'HS256')}"}


@pytest.fixture(scope="session")
def headers() -> Callable[..., dict[str, str]]:
    return bearer


@pytest.fixture(scope="session")
def neighbours() -> Iterator[Neighbours]:
    found = Neighbours()
    yield found
    found.close()


@pytest.fixture(scope="session")
def start_gateway() -> Callable[..., HttpServer]:
    def start(*ports: int, **variables: str) -> HttpServer:
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
        defaults = {
            "USER_MANAGEMENT_TARGET": f"ipv4:{addresses}",
            "ROLLCALL_TOKEN_SECRET": SECRET,
            "GATEWAY_PORT": "0",
        }
        server = http_server(Settings.from_env(defaults | variables))
        server.start()
        return server

    return start


@pytest.fixture(scope="session")
def session_memory() -> Memory:
    return Memory()


@pytest.fixture(scope="session")
def gateway(
    session_memory: Memory, neighbours: Neighbours, start_gateway: Callable[..., HttpServer]
) -> Iterator[HttpServer]:
    server = start_gateway(neighbours.start(session_memory))
    yield server
    server.stop()


@pytest.fixture
def own_memory() -> Memory:
    return Memory()


@pytest.fixture
def memory(session_memory: Memory) -> Iterator[Memory]:
    """Empty, as the gateway of this session sees it."""
    vars(session_memory).update(vars(Memory()))
    yield session_memory
    session_memory.pause = None


@pytest.fixture
def api(gateway: HttpServer, memory: Memory) -> Iterator[httpx.Client]:
    address = f"http://127.0.0.1:{gateway.port}"
    # Not verifying spares each test the reading of certificates that plain HTTP has no use for.
    with httpx.Client(base_url=address, headers=bearer(), timeout=15, verify=False) as client:
        yield client
