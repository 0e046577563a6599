"""The platform's life: the parts below, the services on them, the first user, and the end.

Postgres ─┐
broker   ─┼─▶ services ─▶ first user ─▶ running ─▶ stopping
mailbox  ─┤
Slack    ─┘
"""

import asyncio
import logging
from datetime import UTC, datetime

from rollcall_local import backing, credentials, parts, postgres
from rollcall_local.backing import Broker
from rollcall_local.errors import PlatformError
from rollcall_local.fleet import Fleet
from rollcall_local.home import Home
from rollcall_local.news import News
from rollcall_local.ports import HOST
from rollcall_local.process import python
from rollcall_local.services import SERVICES, Wiring
from rollcall_local.settings import Settings

log = logging.getLogger(__name__)

ENDED = "ended.json"  # why a platform ended by itself
SCALE = "scale.json"  # service → replicas, as last asked for


class Supervisor:
    """Starts the platform and keeps it until `stop`. All of it lives on one event loop."""

    def __init__(self, home: Home, settings: Settings):
        self.home = home
        self.settings = settings
        self.news = News()
        self.state = "starting"
        self.broker: Broker | None = None
        self.fleet = Fleet(home, self._say, self._part_died)
        remembered: dict[str, int] = home.read(SCALE) or {}
        self.counts = {
            name: remembered.get(name, service.replicas) for name, service in SERVICES.items()
        }
        self._wiring: Wiring | None = None
        self._stop = asyncio.Event()
        self._scaling = asyncio.Lock()

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """Start everything, wait for `stop`, end everything. `news` tells how it goes."""
        stopping = asyncio.create_task(self._stop.wait())
        starting = asyncio.create_task(self._start())
        bounding = asyncio.create_task(self.fleet.bound_logs())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()  # nothing, where it is done
        (failure,) = await asyncio.gather(starting, return_exceptions=True)
        if not isinstance(failure, BaseException):
            await stopping
        self.state = "stopping"
        await self._end()
        for task in (bounding, stopping):
            task.cancel()
        self._last_words(failure)

    async def scale(self, name: str, count: int) -> None:
        """Run `count` replicas of a service; the highest numbers go first. Kept for later starts.

        Returns when those that go have ended; those that come are still starting.
        """
        service = SERVICES[name]
        async with self._scaling:
            if self.state != "running" or self._wiring is None:
                raise PlatformError("the platform is not running yet")
            more = range(self.counts[name] + 1, count + 1)
            for number in more:
                parts.require_free(parts.replica_claims(service, number, self.settings.ports))
            gone = [service.replica(n) for n in range(count + 1, self.counts[name] + 1)]
            self.counts[name] = count
            self.home.write(SCALE, self.counts)
            self.fleet.start(*(parts.replica(service, n, self._wiring) for n in more))
            await self.fleet.end(*gone)

    async def _start(self) -> None:
        self.home.forget(ENDED)
        replicas = parts.replicas(self.counts)
        parts.require_free(parts.backing_claims(self.settings))
        for service, number in replicas:
            parts.require_free(parts.replica_claims(service, number, self.settings.ports))
        self._say("starting Postgres, the broker, the mailbox and the Slack stand-in")
        kept = credentials.load_or_create(self.home, postgres.ROLES)
        self.broker, self._wiring = await backing.start(self.fleet, self.settings, kept)
        started = [parts.replica(service, number, self._wiring) for service, number in replicas]
        self._say("starting " + ", ".join(part.name for part in started))
        self.fleet.start(*started)
        await self.fleet.until_ready(*(part.name for part in started))
        await self._first_user()
        self.state = "running"
        log.info("running")
        self.news.tell({"running": True})

    async def _first_user(self) -> None:
        url = f"http://{HOST}:{self.settings.ports['GATEWAY_PORT']}"
        arguments = (str(self.home.root), url, self.settings.admin_email)
        process = await asyncio.create_subprocess_exec(
            *python("rollcall_local.first_user", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, reason = await process.communicate()
        finally:
            if process.returncode is None:  # interrupted
                process.terminate()
                await process.wait()
        if process.returncode:
            text = reason.decode(errors="replace").strip().splitlines()[-1:]
            raise PlatformError(f"the first user could not be made: {' '.join(text)}")

    async def _end(self) -> None:
        """In the reverse of the order in which requests travel, so that each can be finished."""
        replicas = parts.replicas(self.counts)
        await self.fleet.end(*(s.replica(n) for s, n in replicas if s.name == "gateway"))
        await self.fleet.end(*(s.replica(n) for s, n in replicas if s.name != "gateway"))
        await self.fleet.end(*list(self.fleet.children))

    def _last_words(self, failure: BaseException | None) -> None:
        if failure is None or isinstance(failure, asyncio.CancelledError):
            self.news.tell({"stopped": True}, end=True)
            return
        if not isinstance(failure, PlatformError):
            log.error("starting failed", exc_info=failure)
        log.error("%s", failure)
        self.news.tell({"failed": str(failure) or type(failure).__name__}, end=True)

    def _part_died(self, name: str, why: str) -> None:
        reason = f"{name} ended ({why}); its log was in memory, so the whole platform was stopped"
        log.error("%s", reason)
        self.home.write(ENDED, {"at": datetime.now(UTC).isoformat(), "reason": reason})
        self.stop()

    def _say(self, text: str) -> None:
        log.info("%s", text)
        self.news.say(text)
