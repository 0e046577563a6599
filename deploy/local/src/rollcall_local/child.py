"""One part of the platform as a process: started, watched, and started again when it ends."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from rollcall_local import logs, orphans
from rollcall_local.home import Home
from rollcall_local.probes import Probe
from rollcall_local.process import Command, start_arguments

log = logging.getLogger(__name__)

# Seconds before each new start. A process that ran for STEADY seconds begins with the first.
_DELAYS = (0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY = 30.0
_HOPELESS = 4  # ends in a row after which nobody waits for it any longer
_LOOK = 0.05  # seconds between two probes of a process that is not ready yet


@dataclass(frozen=True)
class Part:
    """`vital`: when it ends by itself its data is gone, so the platform ends too."""

    name: str
    command: Command
    ready: Probe
    address: str | None = None
    vital: bool = False


class Child:
    """Owns the part's process. `state`: starting, running, restarting or stopped."""

    def __init__(self, part: Part, home: Home, died: Callable[["Child"], None]):
        self.part = part
        self.state = "starting"
        self.pid: int | None = None
        self.why = ""  # it last ended
        self._home = home
        self._died = died
        self._stop = asyncio.Event()
        self._settled = asyncio.Event()  # it is ready, or has failed too often to wait for it
        self._failures = 0  # ends in a row without having run for long
        self._task = asyncio.create_task(self._keep_running(), name=part.name)

    async def until_ready(self) -> bool:
        """Wait until it is ready: True. False when it only ends again and again."""
        while self.state != "running":
            await self._settled.wait()
            if self.state != "running" and self._failures >= _HOPELESS:
                return False
        return True

    async def stop(self) -> None:
        """Ask it to end; kill it when it has not within the command's time. Never starts again."""
        self._stop.set()
        await self._task

    async def _keep_running(self) -> None:
        while True:
            began = time.monotonic()
            await self._run_once()
            if self._stop.is_set():
                self.state = "stopped"
                return
            log.warning("%s ended: %s", self.part.name, self.why)
            if self.part.vital:
                self.state = "stopped"
                self._died(self)
                return
            self._failures = 1 if time.monotonic() - began > _STEADY else self._failures + 1
            if self._failures >= _HOPELESS:
                self._settled.set()
            self.state = "restarting"
            if await _set_within(self._stop, _DELAYS[min(self._failures, len(_DELAYS)) - 1]):
                self.state = "stopped"
                return

    async def _run_once(self) -> None:
        try:
            process = await self._spawn()
        except OSError as error:
            self.why = f"it could not be started: {error.strerror}"
            return
        self.pid = process.pid
        orphans.record(self._home.run, self.part.name, process.pid)
        becoming = asyncio.create_task(self._become_ready(process.pid))
        ending = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        becoming.cancel()
        stopping.cancel()
        if not ending.done():
            await self._end(process, ending)
        self.pid = None
        self._settled.clear()
        self.why = _reason(await ending)
        orphans.forget(self._home.run, self.part.name)

    async def _spawn(self) -> asyncio.subprocess.Process:
        command = self.part.command
        with logs.open_log(self._home.log(self.part.name)) as output:
            return await asyncio.create_subprocess_exec(
                *command.argv, stdout=output, stderr=output, **start_arguments(command)
            )

    async def _become_ready(self, pid: int) -> None:
        while not await self.part.ready(pid):
            if await _set_within(self._stop, _LOOK):
                return
        self.state = "running"
        self._settled.set()

    async def _end(self, process: asyncio.subprocess.Process, ending: asyncio.Task[int]) -> None:
        with suppress(ProcessLookupError):  # it has just ended
            process.send_signal(self.part.command.stop_signal)
        done, _ = await asyncio.wait({ending}, timeout=self.part.command.stop_within)
        if not done:
            log.warning("%s did not end in time and is killed", self.part.name)
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.wait({ending})


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _reason(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
