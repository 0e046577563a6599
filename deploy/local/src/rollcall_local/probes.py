"""Whether a part is ready, asked without blocking the supervisor."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from rollcall_local import postgres
from rollcall_local.ports import HOST

Probe = Callable[[int], Awaitable[bool]]  # of the process id

_TIMEOUT = 2.0


def listens(*ports: int) -> Probe:
    """All of these ports accept connections."""

    async def probe(pid: int) -> bool:
        return all([await _answers(port, b"", b"") for port in ports])

    return probe


def http_ok(port: int, path: str) -> Probe:
    """`GET path` is answered with 200."""
    request = f"GET {path} HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode()

    async def probe(pid: int) -> bool:
        return await _answers(port, request, b" 200 ")

    return probe


def postgres_ready(data: Path) -> Probe:
    async def probe(pid: int) -> bool:
        return postgres.is_ready(data, pid)

    return probe


async def _answers(port: int, request: bytes, expected: bytes) -> bool:
    try:
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(request)
                return not request or expected in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
