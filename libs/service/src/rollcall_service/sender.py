"""The sender: takes due rows from the delivery ledger, sends them, and records what became of it.

One implementation for mail, Slack and whatever comes; what differs is a plain function
`send(delivery)` that returns once the provider has accepted the message, and raises `Permanent`
or `Transient` when it has not. It bounds its own time.

A message goes out at least once. It is repeated at most if a sender died, stalled past its lease
or lost the provider's answer while it was in flight.
"""

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue

import psycopg2
from prometheus_client import Counter
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from rollcall_service import ledger
from rollcall_service.bell import Bell
from rollcall_service.ledger import Delivery
from rollcall_service.postgres import is_transient

log = logging.getLogger(__name__)

DELIVERIES = Counter(
    "rollcall_deliveries", "Attempts to deliver a message, by what came of it.", ["kind", "outcome"]
)
FALLBACK = 5.0  # seconds between looks at the ledger when nothing wakes it
STUCK_AFTER = 60.0  # seconds without a turn of the loop
FIRST_BACKOFF, LAST_BACKOFF = 0.2, 5.0  # seconds, while Postgres is away
FINISH_WITHIN, STOP_WITHIN = 1.0, 1.8  # seconds that `stop` gives to what is in flight, and lasts


class Permanent(Exception):
    """The provider will never accept this message. `reason` names the error, and nobody."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Transient(Exception):
    """The message may be accepted later; not before `retry_after` seconds, if given."""

    def __init__(self, reason: str, retry_after: float | None = None):
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


Send = Callable[[Delivery], None]
Record = Callable[[Connection], None]


@dataclass(frozen=True)
class Schedule:
    """When to try again, in seconds: exponential with full jitter, and not for ever."""

    first: float = 2.0
    longest: float = 900.0
    give_up: float = 24 * 3600.0  # age at which nothing is tried any more

    def delay(
        self, delivery: Delivery, retry_after: float | None, jitter: Callable[[], float]
    ) -> float | None:
        """How long to wait after a failed attempt; None: the next would come too late.

        jitter: a number in [0, 1). A provider's wish is honoured in full, and spread a little so
        that all who were given the same one do not come back at once.
        """
        doublings = min(delivery.attempts - 1, 32)
        delay = min(self.longest, self.first * 2**doublings) * jitter()
        if retry_after is not None:
            delay = max(0.0, retry_after) + self.first * jitter()
        return delay if delivery.age + delay < self.give_up else None


class Sender:
    """Sends a schema's deliveries until stopped, up to `workers` at a time, one per recipient.

    name: the replica, as shown in leases. lease: seconds after which what a dead sender held is
    taken by another; renewed while this one lives. spacing: least seconds between two messages
    to a recipient, across replicas. now, jitter: for tests; the database's clock by default.
    `failed` is set when the ledger cannot be used and waiting would not help.
    """

    def __init__(
        self,
        engine: Engine,
        send: Send,
        *,
        schema: str,
        name: str,
        workers: int = 8,
        lease: float = 15.0,
        spacing: float = 0.0,
        schedule: Schedule = Schedule(),
        now: Callable[[], datetime | None] = lambda: None,
        jitter: Callable[[], float] = random.random,
    ):
        self.failed = threading.Event()
        self._engine = engine
        self._send = send
        # A process that is started again under its name is another sender.
        self._id = f"{name}/{uuid.uuid4().hex[:8]}"
        self._lease = lease
        self._spacing = spacing
        self._schedule = schedule
        self._now = now
        self._jitter = jitter
        self._bell = Bell(engine, ledger.channel(schema))
        self._stopping = threading.Event()
        self._turned_at = time.monotonic()
        self._renewed_at = time.monotonic()
        self._queue: SimpleQueue[Delivery | None] = SimpleQueue()  # never longer than the workers
        self._in_hand: set[int] = set()
        self._changed = threading.Condition()  # guards _in_hand
        self._dispatcher = threading.Thread(target=self._dispatch, name="sender", daemon=True)
        # Daemons: a send that hangs must not keep the process from ending.
        self._workers = [
            threading.Thread(target=self._work, name=f"sender-{n}", daemon=True)
            for n in range(workers)
        ]

    def start(self) -> None:
        for thread in (*self._workers, self._dispatcher):
            thread.start()

    def stop(self) -> None:
        """Take nothing more, finish what is in flight or release it, and end, all within 2 s."""
        self._stopping.set()
        self._bell.ring()
        self._dispatcher.join(STOP_WITHIN)

    def healthy(self) -> bool:
        """Whether the loop moves."""
        return self._dispatcher.is_alive() and time.monotonic() - self._turned_at < STUCK_AFTER

    # The dispatcher's thread: it alone takes rows, renews leases and listens.

    def _dispatch(self) -> None:
        backoff = FIRST_BACKOFF
        while not self._stopping.is_set():
            self._turned_at = time.monotonic()
            try:
                self._bell.wait(self._turn())
                backoff = FIRST_BACKOFF
            except Exception as error:  # whatever it is, it must not leave the sender silently idle
                if not is_transient(error):
                    log.exception("the sender ended")
                    self.failed.set()
                    break
                log.warning("Postgres is away", extra={"reason": type(error).__name__})
                self._bell.mute()
                self._stopping.wait(backoff)
                backoff = min(backoff * 2, LAST_BACKOFF)
        self._wind_up()

    def _turn(self) -> float:
        """Hand out what is due to free workers. Returns how long there is nothing to do, unless
        the bell rings: a commit that added rows, a free worker, or stop()."""
        self._bell.listen()
        self._renew()
        taken, wait = self._take(self._held())
        for delivery in taken:
            self._queue.put(delivery)
        longest = min(FALLBACK, self._lease / 3)
        return longest if wait is None else min(longest, wait)

    def _take(self, held: list[int]) -> tuple[list[Delivery], float | None]:
        free = len(self._workers) - len(held)
        if not free:
            return [], None
        now = self._now()
        with self._engine.begin() as connection:
            taken = ledger.take(
                connection,
                self._id,
                limit=free,
                holding=held,
                lease=self._lease,
                spacing=self._spacing,
                now=now,
            )
            wait = ledger.next_due(connection, now) if len(taken) < free else None
        with self._changed:
            self._in_hand |= {d.id for d in taken}
        return taken, wait

    def _held(self) -> list[int]:
        with self._changed:
            return list(self._in_hand)

    def _renew(self) -> None:
        """What is in flight stays leased while this process lives: only a death frees it."""
        held = self._held()
        if not held:
            self._renewed_at = time.monotonic()
        elif time.monotonic() - self._renewed_at >= self._lease / 3:
            with self._engine.begin() as connection:
                ledger.renew(connection, held, self._id, self._lease, self._now())
            self._renewed_at = time.monotonic()

    def _wind_up(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._in_hand, FINISH_WITHIN)
            held = list(self._in_hand)
        for _ in self._workers:
            self._queue.put(None)
        self._bell.close()
        if held:
            try:
                with self._engine.begin() as connection:
                    ledger.renew(connection, held, self._id, 0, self._now())
            except (SQLAlchemyError, psycopg2.Error):
                log.warning("leases not released; they end by themselves")

    # The workers' threads.

    def _work(self) -> None:
        while delivery := self._queue.get():
            outcome, record = self._attempt(delivery)
            self._record(record)
            DELIVERIES.labels(delivery.kind, outcome).inc()
            with self._changed:
                self._in_hand.discard(delivery.id)
                self._changed.notify_all()
            self._bell.ring()

    def _attempt(self, delivery: Delivery) -> tuple[str, Record]:
        """Send, and return the outcome's name and how to record it."""
        try:
            self._send(delivery)
        except Permanent as error:
            return self._failure(delivery, error.reason, None)
        except Transient as error:
            delay = self._schedule.delay(delivery, error.retry_after, self._jitter)
            return self._failure(delivery, error.reason, delay)
        except Exception as error:
            # A defect in `send` must not end the worker, and a newer version may mend it.
            log.exception("send failed unexpectedly", extra={"delivery": delivery.id})
            delay = self._schedule.delay(delivery, None, self._jitter)
            return self._failure(delivery, f"unexpected: {type(error).__name__}", delay)
        log.info("sent", extra=_named(delivery))
        return "sent", lambda c: ledger.record_sent(c, delivery, self._now())

    def _failure(self, delivery: Delivery, reason: str, delay: float | None) -> tuple[str, Record]:
        delay = None if delay is None else max(delay, self._spacing)
        outcome = "failed" if delay is None else "put_off"
        log.warning("not sent", extra=_named(delivery) | {"reason": reason, "again_in": delay})
        return outcome, lambda c: ledger.record_not_sent(
            c, delivery, self._id, reason, delay, self._now()
        )

    def _record(self, record: Record) -> None:
        """Commit an outcome, waiting for Postgres if it is away."""
        backoff = FIRST_BACKOFF
        while True:
            try:
                with self._engine.begin() as connection:
                    record(connection)
                return
            except SQLAlchemyError as error:
                if not is_transient(error):
                    log.exception("an outcome cannot be recorded")
                    self.failed.set()
                    return
                log.warning("an outcome waits", extra={"reason": type(error).__name__})
            if self._stopping.wait(backoff):
                return  # the lease ends, and another sender finds out anew
            backoff = min(backoff * 2, LAST_BACKOFF)


def _named(delivery: Delivery) -> dict[str, object]:
    """What a log line may say of a delivery."""
    names = {"delivery": delivery.id, "event": delivery.event_id, "kind": delivery.kind}
    return names | {"attempt": delivery.attempts}
