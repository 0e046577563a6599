"""Note in groups, out of the callers' way, which admissions are in the log."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine

from rollcall_events import Position, Recorded
from rollcall_events.postgres import STORE_ERRORS, Wire
from rollcall_user_management.admission.store import PREPARE_MARK, mark_appended

log = logging.getLogger(__name__)

_GROUP = 500
_QUEUE = 10_000
# Seconds from group to group while marks keep coming, in which the projection settles most of what
# is to be marked. One that comes alone does not wait: its aggregate's next command may.
_GATHER = 0.02
# Each statement is a transaction, of which nobody waits for the disk.
_PREPARE = "SET synchronous_commit = off;" + PREPARE_MARK


class Marker:
    """Marks admissions from one thread. settled: whether the projection is known to have passed a
    place, and so to have settled what stands there, which needs no mark any more.

    A mark that is lost (Postgres away, queue full) costs a second copy of the event in the log,
    which every consumer drops, and delays the aggregate's next command; nothing else.
    """

    def __init__(self, engine: Engine, settled: Callable[[Position], bool]):
        self._engine = engine
        self._settled = settled
        self._queue: queue.Queue[tuple[str, Recorded] | None] = queue.Queue(_QUEUE)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="marker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Mark what is waiting, then end."""
        self._stopping.set()
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=1)
        self._thread.join(timeout=3)

    def mark(self, event_id: str, recorded: Recorded) -> None:
        try:
            self._queue.put_nowait((event_id, recorded))
        except queue.Full:
            log.warning("a mark was dropped")

    def _run(self) -> None:
        wire: Wire | None = None
        due = 0.0
        while (first := self._queue.get()) is not None:
            self._stopping.wait(due - time.monotonic())
            due = time.monotonic() + _GATHER
            group, ended = self._group(first)
            unsettled = [(id_, place) for id_, place in group if not self._settled(place.position)]
            try:
                if unsettled:
                    wire = wire or Wire(self._engine, _PREPARE)
                    mark_appended(wire, unsettled)
            except STORE_ERRORS as error:
                log.warning("marks were lost", extra={"reason": type(error).__name__})
                if wire is not None:
                    wire.close()
                    wire = None
            if ended:
                break
        if wire is not None:
            wire.close()

    def _group(self, first: tuple[str, Recorded]) -> tuple[list[tuple[str, Recorded]], bool]:
        group = [first]
        while len(group) < _GROUP:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return group, True
            group.append(item)
        return group, False
