"""A cheap HTTP/1.1 client: one connection, one request at a time, every answer with its times."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

_WITHIN = 15.0  # seconds; the gateway answers before, whatever is away


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    content: bytes
    invoked: float  # time.monotonic()
    responded: float

    @cached_property
    def document(self) -> Any:
        return json.loads(self.content)

    @property
    def version(self) -> int | None:
        """Of the ETag."""
        tag = self.headers.get("etag")
        return None if tag is None else int(tag.strip('"'))

    @property
    def seen(self) -> dict[str, str]:
        """The header that makes the next request see what this answer told of."""
        return {"Consistency-Token": self.headers["consistency-token"]}

    @property
    def summary(self) -> str:
        """The status, and of a problem its type: `409 email-taken`."""
        if self.headers.get("content-type") != "application/problem+json":
            return str(self.status)
        return f"{self.status} {self.document['type'].rpartition(':')[2]}"


class Client:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Mapping[str, str]
    ):
        self._reader, self._writer = reader, writer
        self._headers = headers

    async def post(self, path: str, body: Mapping[str, Any], **headers: str) -> Answer:
        return await self.request("POST", path, body, headers)

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer. A broken connection is an error, as is none in 15 s: nothing is repeated."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Content-Length: {len(content)}"]
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        given = {**self._headers, "Content-Type": kind, **(headers or {})}
        lines += [f"{name}: {value}" for name, value in given.items()]
        invoked = time.monotonic()
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        async with asyncio.timeout(_WITHIN):
            status, found, received = await self._receive()
        return Answer(status, found, received, invoked, time.monotonic())

    async def _receive(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        pairs = (line.partition(": ") for line in lines if line)
        headers = {name.lower(): value for name, _, value in pairs}
        content = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, content


@dataclass(frozen=True)
class Api:
    url: str
    token: str

    @asynccontextmanager
    async def clients(self, count: int) -> AsyncIterator[list[Client]]:
        """So many connections of their own, all open."""
        address = urlsplit(self.url)
        headers = {"Host": address.netloc, "Authorization": f"Bearer {self.token}"}
        async with AsyncExitStack() as stack:
            clients = []
            for _ in range(count):
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                stack.callback(writer.close)
                clients.append(Client(reader, writer, headers))
            yield clients
