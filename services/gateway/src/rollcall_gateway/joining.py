"""One system call for an answer, whose head and body uvicorn writes one after the other."""

import socket
import struct
from asyncio import AbstractEventLoop, Transport
from typing import Any

MAX_PENDING = 64 * 1024  # bytes


class JoiningTransport:
    """Sends what is written during one turn of the event loop as one piece, at the turn's end."""

    def __init__(self, transport: Transport, loop: AbstractEventLoop):
        self._transport = transport
        self._loop = loop
        self._pending = bytearray()

    def write(self, data: bytes) -> None:
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending += data
        if len(self._pending) > MAX_PENDING:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def reset(self) -> None:
        """Ends the connection as a failure, which its other side can't take for a good end."""
        self._pending.clear()
        linger = struct.pack("ii", 1, 0)  # the kernel is to send RST, not FIN
        self._transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, bytearray()
            self._transport.write(pending)
