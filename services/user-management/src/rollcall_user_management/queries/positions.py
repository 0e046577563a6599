"""Wait until the read store has passed positions of the log, woken by the projection's commit."""

import asyncio
import contextlib
import json
import logging
import select
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg2.extensions
from sqlalchemy import Engine, text

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_events import Position
from rollcall_events.postgres import is_store_trouble
from rollcall_events.topic import PARTITIONS, Topic

log = logging.getLogger(__name__)

_RECONNECT = 0.5  # seconds
_ASK_AGAIN = 0.5  # seconds; a partition may have moved to a replica that was not asked for it

_ASK = text("""SELECT pg_notify(:channel, '{"look": true}')""")


class WrongTopic(Exception):
    """A position is of another log, or of no place in this one."""


class ReadStoreBehind(Exception):
    """The read store did not pass the positions in time; it is `records` behind the farthest."""

    def __init__(self, records: int):
        super().__init__(f"the read store is {records} records behind")
        self.records = records


class MomentNotReached(Exception):
    """The read store did not get to a moment in time. until: to which it is known to have got."""

    def __init__(self, until: datetime | None):
        super().__init__("the read store has not reached that moment")
        self.until = until


class Positions:
    """What the projection, on whichever replica, has committed: partition → next offset, and until
    which moment each is folded. look: has this replica's consumer find that out anew."""

    def __init__(self, engine: Engine, schema: str, look: Callable[[], None]):
        self._engine = engine
        self._schema = schema
        self._look = look
        self._next: dict[int, int] = {}
        self._at_end: dict[int, datetime] = {}
        self._log_id: str | None = None  # of the topic in Kafka
        self._store_id: str | None = None  # of the topic that the read store is folded from
        self._wakers: set[Callable[[], None]] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="positions", daemon=True)

    def start(self) -> None:
        if self._thread.ident is None:  # a generation may become live more than once
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=3)

    def topic_id(self) -> str | None:
        """Kafka's id of the topic; None while it is not known to be the read store's."""
        return self._log_id

    def set_topic(self, topic: Topic | None) -> None:
        self._log_id = topic.id if topic else None

    def has_passed(self, position: Position) -> bool:
        """Whether the read store is known to hold this place of the log."""
        return self._next.get(position.partition, 0) > position.offset

    async def passed(self, after: Sequence[pb.Position], deadline: float) -> None:
        """Return when every position is in the read store.

        deadline: seconds to wait at most. Raises WrongTopic, ReadStoreBehind.
        """
        if not after:
            return
        topic_id = self._store_id or self._log_id
        if topic_id is None:
            raise ReadStoreBehind(max(p.offset + 1 for p in after))
        if len(after) > PARTITIONS or any(not _is_of(topic_id, p) for p in after):
            raise WrongTopic
        async with self._woken() as changed:
            try:
                async with asyncio.timeout(deadline):
                    while self._behind(after):
                        await changed.wait()
                        changed.clear()
            except TimeoutError:
                raise ReadStoreBehind(self._behind(after)) from None

    def has_reached(self, moment: datetime) -> bool:
        """Whether all that was recorded until then, on any partition, is in the read store."""
        reached = self._reached()
        return reached is not None and reached >= moment

    def _reached(self) -> datetime | None:
        ends = self._at_end
        return min(ends.values()) if len(ends) == PARTITIONS else None

    async def reached(
        self, moment: datetime, deadline: float, ask: Callable[[], Awaitable[None]]
    ) -> None:
        """Return when all that was recorded until then is in the read store.

        deadline: seconds to wait at most. ask: has every replica look, by `ask_all`. Raises
        MomentNotReached, and what `ask` raises.
        """
        async with self._woken() as changed:
            try:
                async with asyncio.timeout(deadline):
                    while not self.has_reached(moment):
                        await ask()
                        with contextlib.suppress(TimeoutError):
                            await self._reached_within(moment, changed, _ASK_AGAIN)
            except TimeoutError:
                raise MomentNotReached(self._reached()) from None

    async def _reached_within(
        self, moment: datetime, changed: asyncio.Event, seconds: float
    ) -> None:
        async with asyncio.timeout(seconds):
            while not self.has_reached(moment):
                await changed.wait()
                changed.clear()

    def ask_all(self) -> None:
        """Have every replica look until which moment its partitions are folded. Blocks."""
        with self._engine.begin() as connection:
            connection.execute(_ASK, {"channel": self._schema})

    @asynccontextmanager
    async def _woken(self) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever something was committed."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        self._wakers.add(wake)
        try:
            yield changed
        finally:
            self._wakers.discard(wake)

    def _behind(self, after: Sequence[pb.Position]) -> int:
        return max(max(0, p.offset + 1 - self._next.get(p.partition, 0)) for p in after)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except Exception as error:
                if not is_store_trouble(error):
                    log.exception("positions are not followed")
                log.warning("positions wait for Postgres", extra={"reason": type(error).__name__})
                self._stopping.wait(_RECONNECT)

    def _listen(self) -> None:
        """Follow the commits on a connection of its own, until it breaks."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"LISTEN {self._schema}"))
            rows = connection.execute(
                text("SELECT partition, next_offset, topic_id, at_end FROM offsets")
            ).all()
            if rows:
                self._store_id = rows[0].topic_id
            # Not merged: a restored Postgres may hold less than the one before.
            self._next = {}
            self._at_end = {row.partition: row.at_end for row in rows if row.at_end}
            self._advance({row.partition: row.next_offset for row in rows})
            connection.detach()  # LISTEN belongs to the session, which is not for others
            driver = connection.connection.dbapi_connection
            assert isinstance(driver, psycopg2.extensions.connection)
            while not self._stopping.is_set():
                select.select([driver], [], [], 0.5)
                driver.poll()
                while driver.notifies:
                    self._hear(json.loads(driver.notifies.pop(0).payload or "{}"))

    def _hear(self, said: dict[str, Any]) -> None:
        if "look" in said:
            self._look()
        elif "at_end" in said:
            moment = datetime.fromisoformat(said["at_end"])
            self._at_end |= dict.fromkeys(said["partitions"], moment)
            self._wake()
        else:
            self._advance({int(partition): offset for partition, offset in said.items()})

    def _advance(self, offsets: dict[int, int]) -> None:
        for partition, offset in offsets.items():
            self._next[partition] = max(offset, self._next.get(partition, 0))
        self._wake()

    def _wake(self) -> None:
        for wake in list(self._wakers):
            wake()


def _is_of(topic_id: str, position: pb.Position) -> bool:
    place = position.partition in range(PARTITIONS) and position.offset >= 0
    return place and position.topic_id == topic_id
