"""Every generation is projected until it is dropped, by all replicas together."""

import logging
import math
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import psycopg2.extensions
from sqlalchemy import Connection, text

from rollcall_events import Consumer, Pace
from rollcall_events.postgres import is_store_trouble
from rollcall_events.status import Status
from rollcall_user_management.generations import table, takeover
from rollcall_user_management.generations.store import Generation, ReadStore
from rollcall_user_management.generations.table import Row
from rollcall_user_management.readstore import LAYOUT

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between looks at the table, which also tells of its changes
BESIDE_OTHERS = 0.2  # the part of its time in which a replica fills while another generation serves
# Seconds that a generation is kept open after it was live: a query may have taken it, and wait for
# its positions, then read.
_LAST_QUERIES = 6.0
_RECONNECT = 0.5  # seconds

Project = Callable[[Generation, Pace], Consumer]


class Projections:
    """Component: follows the table of generations, and keeps a consumer for each of this release's
    layout. It says which one the rest serves, if any.

    A generation that is filled for a layout which the live one has not becomes live by itself.
    show: told whether the live one is served, when that changes. `failed` is set when a consumer's
    is.
    """

    def __init__(self, store: ReadStore, project: Project, show: Callable[[bool], None]):
        self.failed = threading.Event()
        self._store = store
        self._project = project
        self._show = show
        self._consumers: dict[int, Consumer] = {}
        self._rows: Sequence[Row] = ()
        self._attended: set[int] = set()  # by the session that listens
        self._serving: int | None = None
        self._left: dict[int, float] = {}  # when another became live, of time.monotonic
        self._alone = False  # nobody serves the live generation
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="generations", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The live generation's consumer first, so that its partitions move at once."""
        self._stopping.set()
        self._thread.join(timeout=3)
        for number in sorted(self._consumers, key=lambda n: n != self._serving):
            self._consumers[number].stop()

    def look(self) -> None:
        """See at once which generation is live; if that fails, it will be seen in a moment."""
        try:
            with self._store.engine.connect() as connection:
                self._serve(connection)
        except Exception as error:
            if not is_store_trouble(error):
                raise
            log.warning("generations are not known", extra={"reason": type(error).__name__})

    def rejoin(self) -> None:
        """Begin anew from the stored offsets."""
        for consumer in list(self._consumers.values()):
            consumer.rejoin()

    def healthy(self) -> bool:
        return all(consumer.healthy() for consumer in list(self._consumers.values()))

    def ready(self) -> bool:
        consumer = self._consumers.get(self._serving or 0)
        return consumer is not None and consumer.ready()

    def status(self) -> Status:
        """Of the live generation's consumer. Where it is not served, why, and what is filled."""
        consumer = self._consumers.get(self._serving or 0)
        if consumer is not None:
            return consumer.status()
        why = self._why(self._rows) if self._rows else "starting"
        filling = next((r for r in self._rows if r.number in self._consumers), None)
        status = self._consumers[filling.number].status() if filling else Status()
        return replace(status, state=why)

    def filling(self) -> dict[int, str]:
        """The state of the consumer of each generation that is being filled here."""
        numbers = [row.number for row in self._rows if row.state == "filling"]
        return {n: self._consumers[n].status().state for n in numbers if n in self._consumers}

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except Exception as error:
                if not is_store_trouble(error):
                    log.critical("generations are not followed", exc_info=error)
                    self.failed.set()
                    return
                reason = type(error).__name__
                log.warning("generations wait for Postgres", extra={"reason": reason})
                self._stopping.wait(_RECONNECT)

    def _follow(self) -> None:
        """Look, and be told, on a connection of its own, until it breaks."""
        engine = self._store.engine
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.detach()  # LISTEN and the locks belong to the session
            driver = connection.connection.dbapi_connection
            assert isinstance(driver, psycopg2.extensions.connection)
            connection.execute(text(f"LISTEN {table.CHANNEL}"))
            self._attended.clear()
            while not self._stopping.is_set():
                driver.notifies.clear()
                self._once(connection)
                select.select([driver], [], [], INTERVAL)
                driver.poll()

    def _once(self, connection: Connection) -> None:
        known = table.read(connection)
        new = [r.number for r in known if r.projected and r.number not in self._attended]
        for number in new:
            table.attend(connection, number)
            self._attended.add(number)
        for row in table.read(connection):  # anew: it may have been dropped before it was attended
            if row.projected and row.number not in self._consumers:
                self._open(row.number)
        rows = self._serve(connection)
        live = table.live_of(rows)
        self._alone = live.layout != LAYOUT and not table.attended(connection, live.number)
        self._let_go(connection, rows)
        self._take_over(rows, live)
        if any(consumer.failed.is_set() for consumer in self._consumers.values()):
            self.failed.set()

    def _open(self, number: int) -> None:
        generation = self._store.open(number, lambda: self._ask(number))
        consumer = self._project(generation, Pace(lambda: self._share(number)))
        self._consumers[number] = consumer
        consumer.start()

    def _ask(self, number: int) -> None:
        """Have its consumer find out until which moment it is folded."""
        if consumer := self._consumers.get(number):
            consumer.moments.ask()

    def _share(self, number: int) -> float:
        row = next((row for row in self._rows if row.number == number), None)
        beside = row is not None and row.state == "filling" and not row.full_speed
        return BESIDE_OTHERS if beside and not self._alone else 1.0

    def _serve(self, connection: Connection) -> Sequence[Row]:
        """Let the rest of the service use the generation that is live. Returns all of them."""
        with self._lock:
            rows = self._rows = table.read(connection)
            live = table.live_of(rows)
            serves = live.projected and self._store.serve(live.number)
            serving = live.number if serves else None
            if serving is None:
                self._store.serve_none(self._why(rows))
            if serving != self._serving:
                if self._serving is not None:
                    self._left[self._serving] = time.monotonic()
                log.info("generation", extra={"live": live.number, "served": serves})
                self._serving = serving
                self._show(serves)
        return rows

    def _why(self, rows: Sequence[Row]) -> str:
        live = table.live_of(rows)
        if live.layout == LAYOUT:
            return "starting"
        ours = next((row for row in rows if row.projected), None)
        if live.layout > LAYOUT or ours is None:
            return (
                f"not serving: generation {live.number} is live, with tables of layout"
                f" {live.layout}; this release knows layout {LAYOUT}"
            )
        if ours.state == "filling":
            return f"not serving: generation {ours.number} is filled for this release"
        return (
            f"not serving: generation {live.number} is live, with tables of an earlier release:"
            f" rollcall rebuild use {ours.number}"
        )

    def _let_go(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Let go of what is to be dropped, and remove it once everybody has."""
        there = {row.number for row in rows if row.state != "dropping"}
        for number in (self._attended | self._consumers.keys()) - there:
            if time.monotonic() - self._left.get(number, -math.inf) < _LAST_QUERIES:
                continue
            if number in self._consumers:
                self._consumers.pop(number).stop()
                self._store.close(number)
            if number in self._attended:
                table.leave(connection, number)
                self._attended.discard(number)
        for row in rows:
            if row.state == "dropping" and row.number not in self._consumers:
                with self._store.engine.begin() as removing:
                    if table.remove(removing, row.number):
                        log.info("generation removed", extra={"number": row.number})

    def _take_over(self, rows: Sequence[Row], live: Row) -> None:
        ours = [row for row in rows if row.projected and row.state == "filling"]
        if live.layout >= LAYOUT or not ours:
            return
        try:
            takeover.use(self._store.engine, ours[0].number, within=0)
        except takeover.Behind:
            return
        except takeover.CannotUse as error:
            log.warning("no take-over yet", extra={"reason": str(error)})
