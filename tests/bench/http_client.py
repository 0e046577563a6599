"""HTTP/1.1 as a load generator speaks it: prepared bytes on a connection that is kept."""

import asyncio
import re
from collections.abc import Callable
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PROBLEM = re.compile(rb'"type": *"([^"]*)"')


class HttpClient:
    """One client: `post` sends one request and waits for its answer."""

    def __init__(self, port: int, request: Callable[[], bytes], wanted: int):
        """request: makes the next one. wanted: the status of a right answer."""
        self._port = port
        self._request = request
        self._wanted = wanted
        self._connection: _Connection | None = None

    async def connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", self._port)
        self._connection = connection
        return connection

    async def post(self) -> str | None:
        """None, or what the answer was instead of the wanted one."""
        try:
            connection = self._connection or await self.connect()
            status, body = await connection.ask(self._request())
        except OSError as error:
            self._connection = None
            return type(error).__name__
        if status == self._wanted:
            return None
        problem = _PROBLEM.search(body)
        return f"{status} {problem[1].decode() if problem else ''}".strip()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _Connection(asyncio.Protocol):
    """Requests one at a time; every answer says its length."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises ConnectionError where the connection ends before."""
        if self._transport is None:
            raise ConnectionResetError
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, complete, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if complete and length is not None and len(body) >= int(length[1]):
            self._received = b""
            assert self._answer
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
