"""The read store as the rest of the service sees it: the live generation, whichever it is."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from rollcall_events import Position
from rollcall_service.postgres import make_engine
from rollcall_user_management.queries.positions import Positions
from rollcall_user_management.readstore import NotServing, schema_of
from rollcall_user_management.settings import SCHEMA


@dataclass(frozen=True)
class Generation:
    """engine: its connections see its schema first. positions: what of the log is in it."""

    number: int
    schema: str
    engine: Engine
    positions: Positions


class ReadStore:
    """Component: the generations that this replica has open, and the connections of no generation
    (`engine`). Thread-safe.

    Who took the live generation keeps it to the end of what it reads, even if another becomes live
    meanwhile: the one before follows the log as well. Who decides has to ask in its own transaction
    which one is live (locks.py).
    """

    def __init__(self, url: str, *, shared: int, each: int):
        """shared, each: connections of no generation, and of each of them, at most."""
        self.engine = make_engine(url, schema=SCHEMA, pool_size=shared)
        self._url = url
        self._each = each
        self._lock = threading.Lock()
        self._open: dict[int, Generation] = {}
        self._live: Generation | None = None
        self._why = "starting"

    def start(self) -> None:
        """Connections are made when they are needed."""

    def stop(self) -> None:
        for number in list(self._open):
            self.close(number)
        self.engine.dispose()

    def live(self) -> Generation:
        """Raises NotServing."""
        live = self._live
        if live is None:
            raise NotServing(self._why)
        return live

    def all(self) -> list[Generation]:
        """The live one first. Raises NotServing."""
        live = self.live()
        return [live, *(g for g in list(self._open.values()) if g is not live)]

    def topic_id(self) -> str | None:
        """Kafka's id of the topic; None while it is not known to be the read store's."""
        live = self._live
        return live.positions.topic_id() if live else None

    def has_passed(self, position: Position) -> bool:
        """Whether the live generation is known to hold this place of the log."""
        live = self._live
        return live is not None and live.positions.has_passed(position)

    def open(self, number: int, look: Callable[[], None]) -> Generation:
        """look: has its consumer find out anew until which moment it is folded."""
        schema = schema_of(number)
        engine = make_engine(self._url, schema=f"{schema},{SCHEMA}", pool_size=self._each)
        with self._lock:
            opened = self._open[number] = Generation(
                number, schema, engine, Positions(engine, schema, look)
            )
        return opened

    def close(self, number: int) -> None:
        with self._lock:
            closed = self._open.pop(number)
        closed.positions.stop()
        closed.engine.dispose()

    def serve(self, number: int) -> bool:
        """Whether it is open, and so served from now on."""
        with self._lock:
            opened = self._open.get(number)
            if opened is not None and opened is not self._live:
                opened.positions.start()
                before, self._live = self._live, opened
                if before is not None:
                    before.engine.dispose()  # its idle connections: the projection needs few
        return opened is not None

    def serve_none(self, why: str) -> None:
        self._why = why
        self._live = None
