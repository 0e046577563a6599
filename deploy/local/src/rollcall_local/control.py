"""The supervisor's socket: one request per connection, answered in JSON lines.

    {"command": "status"}                               → one line, see report.py
    {"command": "follow", "owner": false}               → news until running, failed or stopped
    {"command": "scale", "service": …, "count": …}      → {"ok": true} or {"error": …}
    {"command": "stop"}                                 → news until {"stopped": true}

The owner is the `up` that began the start: when it goes away before the platform runs, the
start is undone.
"""

import asyncio
import json
from typing import Any

from rollcall_local.errors import PlatformError
from rollcall_local.ports import REPLICAS
from rollcall_local.report import report
from rollcall_local.services import SERVICES
from rollcall_local.supervisor import Supervisor

_REQUEST_WITHIN = 5.0  # seconds
_FINAL = ("running", "failed", "stopped")


class Control:
    def __init__(self, supervisor: Supervisor):
        self._supervisor = supervisor
        self._commands = {
            "status": self._status,
            "follow": self._follow,
            "scale": self._scale,
            "stop": self._stop,
        }
        self._owner_came = asyncio.Event()
        self._conversations: set[asyncio.Task[None]] = set()

    async def listen(self) -> asyncio.Server:
        path = self._supervisor.home.socket
        path.unlink(missing_ok=True)  # of a supervisor that was killed: we hold the lock
        return await asyncio.start_unix_server(self._accept, path)

    async def owner_came(self, within: float) -> bool:
        """Whether the `up` that launched us follows the start, waited for as many seconds."""
        try:
            async with asyncio.timeout(within):
                return await self._owner_came.wait()
        except TimeoutError:
            return False

    async def drain(self) -> None:
        """Let everybody who follows hear the last line."""
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=2)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)
        try:
            async with asyncio.timeout(_REQUEST_WITHIN):
                request = json.loads(await reader.readline())
            await self._commands[request["command"]](request, reader, writer)
            await writer.drain()
        except (ValueError, KeyError, TypeError, OSError, TimeoutError):
            pass  # not a request of ours, or nobody there to hear the answer
        finally:
            writer.close()

    async def _status(
        self, request: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        _write(writer, report(self._supervisor))

    async def _follow(
        self, request: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not request["owner"]:
            await self._tell(writer, _FINAL)
            return
        self._owner_came.set()
        watching = asyncio.create_task(self._undo_if_abandoned(reader))
        try:
            await self._tell(writer, _FINAL)
        finally:
            watching.cancel()

    async def _undo_if_abandoned(self, reader: asyncio.StreamReader) -> None:
        await reader.read()  # to the end: the owner says no more
        if self._supervisor.state == "starting":
            self._supervisor.stop()

    async def _stop(
        self, request: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._supervisor.stop()
        await self._tell(writer, ("failed", "stopped"))

    async def _scale(
        self, request: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        name, count = request["service"], request["count"]
        service = SERVICES.get(name)
        if service is None or not isinstance(count, int) or not 1 <= count <= REPLICAS:
            _write(writer, {"error": f"{name} cannot have {count} replicas"})
            return
        try:
            await self._supervisor.scale(name, count)
            _write(writer, {"ok": True})
        except PlatformError as error:
            _write(writer, {"error": str(error)})

    async def _tell(self, writer: asyncio.StreamWriter, final: tuple[str, ...]) -> None:
        async for line in self._supervisor.news.follow():
            _write(writer, line)
            await writer.drain()
            if any(word in line for word in final):
                return


def _write(writer: asyncio.StreamWriter, line: dict[str, Any]) -> None:
    writer.write(json.dumps(line).encode() + b"\n")
