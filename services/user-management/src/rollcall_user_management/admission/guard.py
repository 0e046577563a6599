"""Nothing is admitted to a Postgres that may hold less than the log was told of.

Admission trusts what Postgres holds. One that was put back to an earlier state, or whose standby
took over, may lack admissions whose events are in the log or still on their way to it. So every
incarnation of it is verified first. Where something may be missing it is held until the
projection has passed the log's end as it is when nothing can be on its way to it any more.
"""

import logging
import threading
from collections.abc import Callable

from sqlalchemy import Engine

from rollcall_events import (
    DELIVERY_TIMEOUT,
    KafkaSettings,
    Refused,
    Topic,
    TopicUnavailable,
    committed_offsets,
    log_ends,
)
from rollcall_events.postgres import is_store_trouble
from rollcall_user_management.admission import origin
from rollcall_user_management.admission.store import RECOVER_AFTER

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between looks
_PAUSE = 0.2  # seconds after one that failed, however many commands wait for the next


class Guard:
    """Verifies each incarnation of Postgres, and ends what it had to hold. Thread-safe.

    group: that fills a generation of that number. rejoin: makes the consumers read the stored
    offsets again. on_its_way: seconds after which an event that was admitted is in the log or,
    but for Recovery, never will be. `failed` is set when the database has become one of another
    log.
    """

    def __init__(
        self,
        engine: Engine,
        settings: KafkaSettings,
        group: Callable[[int], str],
        *,
        rejoin: Callable[[], None],
        on_its_way: float = RECOVER_AFTER + DELIVERY_TIMEOUT,
    ):
        self.failed = threading.Event()
        self._engine = engine
        self._settings = settings
        self._group = group
        self._rejoin = rejoin
        self._on_its_way = on_its_way
        self._topic: Topic | None = None
        self._verified: str | None = None
        self._held: str | None = None
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout=3)

    def passes(self, incarnation: str) -> bool:
        """Whether this very incarnation was verified, be it held or not; if it was not, it will
        be in a moment."""
        if incarnation == self._verified:
            return True
        self._wake.set()
        return False

    def held(self) -> str | None:
        """Why nothing is admitted, as last heard of; None if it is."""
        return self._held

    def verify(self, topic: Topic) -> None:
        """Return once the incarnation is known to be verified; hold it if that finds a reason.

        To be called before anything is consumed on the strength of stored offsets, which would
        move Kafka's committed offsets back to them. Raises Refused if they are of another log;
        TopicUnavailable or the store's errors, and may be repeated then.
        """
        with self._engine.connect() as connection:
            found = origin.look(connection)
        if found.cluster_id is None or found.incarnation != self._verified:
            with self._engine.connect() as connection:
                numbers = origin.compared(connection)
            committed = {
                n: committed_offsets(self._settings, self._group(n), topic) for n in numbers
            }
            ends = log_ends(self._settings, topic) if found.cluster_id is None else {}
            with self._engine.begin() as connection:
                found = origin.compare(connection, topic, committed, ends)
            log.info("Postgres was verified", extra={"incarnation": found.incarnation})
            if found.reason is not None:
                self._rejoin()
            self._verified = found.incarnation
        else:
            origin.refuse_another(found, topic)
        self._say(found.reason)
        self._topic = topic

    def look(self) -> None:
        """Verify an incarnation that is new, and release what need not be held any more."""
        topic = self._topic
        if topic is None:
            return
        self.verify(topic)
        if self._held is not None and self._verified is not None:
            self._release(topic, self._verified)

    def _release(self, topic: Topic, incarnation: str) -> None:
        with self._engine.connect() as connection:
            since = origin.ends_wanted(connection, self._on_its_way)
        if since is not None:
            ends = log_ends(self._settings, topic)
            with self._engine.begin() as connection:
                origin.set_ends(connection, incarnation, since, ends)
        with self._engine.begin() as connection:
            released = origin.release(connection, incarnation, topic)
        if released:
            self._say(None)

    def _say(self, reason: str | None) -> None:
        before, self._held = self._held, reason
        if reason is not None and reason != before:
            until = (
                "the projection has passed the log's end as it is"
                f" {self._on_its_way:g} s after this was noticed"
            )
            log.critical("nothing is admitted", extra={"reason": reason, "until": until})
        if reason is None and before is not None:
            log.warning("commands are admitted again", extra={"reason": before})

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except Exception as error:
                if not isinstance(error, TopicUnavailable) and not is_store_trouble(error):
                    reason = str(error) if isinstance(error, Refused) else type(error).__name__
                    log.critical("the guard ended", extra={"reason": reason}, exc_info=error)
                    self.failed.set()
                    return
                log.warning("the guard waits", extra={"reason": type(error).__name__})
                self._stopping.wait(_PAUSE)
            self._wake.wait(INTERVAL)
            self._wake.clear()
