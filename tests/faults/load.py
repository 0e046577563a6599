"""Clients that send commands all the time, and the record of what each was told."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import httpx
from faults.client import Client
from faults.people import People
from faults.told import Told

CLIENTS = 16
THINKS = 0.02  # seconds
_TIMEOUT = 4.0  # seconds until a client gives up; the gateway may go on with the command


class Load:
    """`with Load(…) as load:` the clients run; afterwards every command has had its end.

    told: every command that has ended, in that order. thinks: seconds that a client rests between
    two commands at most.
    """

    def __init__(
        self, url: str, token: str, seed: int, *, clients: int = CLIENTS, thinks: float = THINKS
    ):
        self.told: list[Told] = []
        self.acknowledged = 0
        self.people = People()
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._seed = seed
        self._clients = clients
        self._thinks = thinks
        self._stopping = False
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="load")

    def __enter__(self) -> "Load":
        self._running = self._executor.submit(lambda: asyncio.run(self._run()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        self.people.abandoned = error is not None
        self._executor.shutdown()
        if error is None:
            self._running.result()

    def check(self) -> None:
        """Raise what ended the clients, if anything did."""
        if self._running.done():
            self._running.result()

    def first_acknowledged(self, since: float, start: int) -> Told | None:
        """Of told[start:], the first acknowledged command that was sent after a moment."""
        known = self.told[start:]
        return next((t for t in known if t.acknowledged and t.began >= since), None)

    def longest_pause(self, since: float, start: int) -> float:
        """Seconds between two acknowledgements in told[start:], the first counted from `since`."""
        ends = sorted(t.ended for t in self.told[start:] if t.acknowledged and t.ended > since)
        return max((b - a for a, b in zip([since, *ends], ends, strict=False)), default=0.0)

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=self._clients)
        async with (
            httpx.AsyncClient(
                base_url=self._url, headers=self._headers, timeout=_TIMEOUT, limits=limits
            ) as http,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self._clients):
                group.create_task(self._client(number, http))

    async def _client(self, number: int, http: httpx.AsyncClient) -> None:
        rng = random.Random(f"{self._seed}/{number}")
        client = Client(f"c{number}", http, self.people, rng, self._tell, self._thinks)
        while not self._stopping:
            await client.step()

    def _tell(self, told: Told) -> None:
        self.told.append(told)
        self.acknowledged += told.acknowledged
