"""The sender: takes due rows from the delivery ledger, sends them, and records what became of it.

One implementation for mail, Slack and whatever comes; what differs is a plain function
`send(delivery)` that returns once the provider has accepted the message, and raises `Permanent`
or `Transient` when it has not. It bounds its own time.

A message goes out at least once. It is repeated at most if a sender died, stalled past its lease
or lost the provider's answer while it was in flight.
"""

import contextlib
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue

import psycopg2
from prometheus_client import Counter
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from rollcall_events.postgres import Wire, is_store_trouble
from rollcall_service import leasing, ledger
from rollcall_service.bell import Bell
from rollcall_service.ledger import Delivery
from rollcall_service.schedule import Schedule

log = logging.getLogger(__name__)

DELIVERIES = Counter(
    "rollcall_deliveries", "Attempts to deliver a message, by what came of it.", ["kind", "outcome"]
)
FALLBACK = 5.0  # seconds between looks at the ledger when nothing wakes it
TIDY_EVERY = 0.5  # seconds between looks for rows that have to wait for an earlier one
HEAL_EVERY = 60.0  # seconds between looks for rows that nobody has woken
STUCK_AFTER = 60.0  # seconds without a turn of the loop
FIRST_BACKOFF, LAST_BACKOFF = 0.2, 5.0  # seconds, while Postgres is away


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


@dataclass(frozen=True)
class Attempt:
    """What came of one. reason: why it was not sent; again_in: seconds until it is due once more,
    None for never."""

    delivery: Delivery
    reason: str | None = None
    again_in: float | None = None

    @property
    def outcome(self) -> str:
        if self.reason is None:
            return "sent"
        return "failed" if self.again_in is None else "put_off"


class Sender:
    """Sends a schema's deliveries until stopped, up to `workers` at a time, one per recipient.

    Half of the workers, at most, try again what has failed: where some recipients' provider hangs,
    the others have workers left.
    name: the replica, as shown in leases. lease: seconds after which what a dead sender held is
    taken by another; renewed while this one lives. A stop waits half of it for what is in flight.
    spacing: least seconds between two messages to a recipient, across replicas. now, jitter: for
    tests; the database's clock by default.
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
        self._tidy_at = self._heal_at = 0.0  # of time.monotonic
        self._queue: SimpleQueue[Delivery | None] = SimpleQueue()  # never longer than the workers
        self._attempts: SimpleQueue[Attempt] = SimpleQueue()  # likewise
        self._wire: Wire | None = None
        self._in_hand: set[int] = set()  # handed out, and nothing recorded of them yet
        self._again: set[int] = set()  # those of them that were tried before
        self._unrecorded: list[Attempt] = []
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
        """Take nothing more, finish what is in flight, and end; within half a lease and a second.

        What a provider has not answered by then is released: it may go out twice.
        """
        self._stopping.set()
        self._bell.ring()
        self._dispatcher.join(self._lease / 2 + 1.0)

    def healthy(self) -> bool:
        """Whether the loop moves."""
        return self._dispatcher.is_alive() and time.monotonic() - self._turned_at < STUCK_AFTER

    # The dispatcher's thread: it alone listens and speaks to Postgres.

    def _dispatch(self) -> None:
        backoff = FIRST_BACKOFF
        while not self._stopping.is_set():
            self._turned_at = time.monotonic()
            try:
                self._bell.wait(self._turn())
                backoff = FIRST_BACKOFF
            except Exception as error:  # whatever it is, it must not leave the sender silently idle
                if not is_store_trouble(error):
                    log.exception("the sender ended")
                    self.failed.set()
                    break
                log.warning("Postgres is away", extra={"reason": type(error).__name__})
                self._bell.mute()
                self._stopping.wait(backoff)
                backoff = min(backoff * 2, LAST_BACKOFF)
        self._wind_up()

    def _turn(self) -> float:
        """Record what came of attempts, and hand out what is due to free workers, in one
        transaction. Returns how long there is nothing to do, unless the bell rings: a commit that
        added rows, an attempt that ended, or stop()."""
        self._bell.listen()
        self._collect()
        began, now = time.monotonic(), self._now()
        with self._transaction() as connection:
            self._record(connection, now)
            renewed = self._renew(connection, now)
            taken, wait = self._take(connection, now)
        if renewed:
            self._renewed_at = began
        self._recorded()
        for delivery in taken:
            self._in_hand.add(delivery.id)
            if delivery.attempts > 1:
                self._again.add(delivery.id)
            self._queue.put(delivery)
        self._tidy(now)
        longest = min(FALLBACK, self._lease / 3)
        return longest if wait is None else min(longest, wait)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """In a session that is kept from turn to turn as long as nothing goes wrong."""
        wire, self._wire = self._wire or Wire(self._engine, leasing.PREPARE), None
        try:
            wire.send("BEGIN")
            yield wire.connection
            wire.send("COMMIT")
        except BaseException:
            wire.close()
            raise
        self._wire = wire

    def _collect(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                self._unrecorded.append(self._attempts.get_nowait())

    def _record(self, connection: Connection, now: datetime | None) -> None:
        sent = [attempt.delivery for attempt in self._unrecorded if attempt.reason is None]
        if sent:
            leasing.record_sent(connection, sent, now)
        for attempt in sorted(self._unrecorded, key=lambda attempt: attempt.delivery.id):
            if attempt.reason is not None:
                leasing.record_not_sent(
                    connection, attempt.delivery, self._id, attempt.reason, attempt.again_in, now
                )

    def _recorded(self) -> None:
        for attempt in self._unrecorded:
            self._in_hand.discard(attempt.delivery.id)
            self._again.discard(attempt.delivery.id)
            DELIVERIES.labels(attempt.delivery.kind, attempt.outcome).inc()
        self._unrecorded.clear()

    def _renew(self, connection: Connection, now: datetime | None) -> bool:
        """What is in flight stays leased while this process lives: only a death frees it. Returns
        whether all leases are as long as they can be, once this is committed."""
        if not self._in_hand:
            return True
        due = time.monotonic() - self._renewed_at >= self._lease / 3
        if due:
            leasing.renew(connection, list(self._in_hand), self._id, self._lease, now)
        return due

    def _tidy(self, now: datetime | None) -> None:
        """What need not be done at every turn."""
        if time.monotonic() < self._tidy_at:
            return
        heals = time.monotonic() >= self._heal_at
        with self._transaction() as connection:
            leasing.put_behind(connection, now)
            if heals:
                leasing.wake_forgotten(connection, now)
        self._tidy_at = time.monotonic() + TIDY_EVERY
        if heals:
            self._heal_at = time.monotonic() + HEAL_EVERY

    def _take(
        self, connection: Connection, now: datetime | None
    ) -> tuple[list[Delivery], float | None]:
        free = len(self._workers) - len(self._in_hand) + len(self._unrecorded)
        if not free:
            return [], None
        again = self._again - {attempt.delivery.id for attempt in self._unrecorded}
        taken = leasing.take(
            connection,
            self._id,
            limit=free,
            again=max(0, max(1, len(self._workers) // 2) - len(again)),
            holding=list(self._in_hand),
            lease=self._lease,
            spacing=self._spacing,
            now=now,
        )
        return taken, leasing.next_due(connection, now) if len(taken) < free else None

    def _wind_up(self) -> None:
        """Record what ends within half a lease, and let go of the rest."""
        for _ in self._workers:
            self._queue.put(None)
        end = time.monotonic() + self._lease / 2
        self._collect()
        self._put_down(self._lease)
        with contextlib.suppress(Empty):
            while len(self._unrecorded) < len(self._in_hand):
                left = max(0.0, end - time.monotonic())
                self._unrecorded.append(self._attempts.get(timeout=left))
                self._collect()
                self._put_down(self._lease)
        self._bell.close()
        self._put_down(0)
        if self._in_hand:
            left_over = {"deliveries": len(self._in_hand)}
            log.warning("let go unrecorded; may go out twice", extra=left_over)
        if self._wire is not None:
            self._wire.close()

    def _put_down(self, lease: float) -> None:
        """Record what has ended, and let the leases of the rest end in so many seconds."""
        if not self._in_hand:
            return
        hanging = self._in_hand - {attempt.delivery.id for attempt in self._unrecorded}
        try:
            with self._transaction() as connection:
                self._record(connection, self._now())
                leasing.renew(connection, list(hanging), self._id, lease, self._now())
        except (SQLAlchemyError, psycopg2.Error) as error:
            log.warning("not recorded", extra={"reason": type(error).__name__})
        else:
            self._recorded()

    # The workers' threads.

    def _work(self) -> None:
        while delivery := self._queue.get():
            self._attempts.put(self._attempt(delivery))
            self._bell.ring()

    def _attempt(self, delivery: Delivery) -> Attempt:
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
        return Attempt(delivery)

    def _failure(self, delivery: Delivery, reason: str, delay: float | None) -> Attempt:
        delay = None if delay is None else max(delay, self._spacing)
        log.warning("not sent", extra=_named(delivery) | {"reason": reason, "again_in": delay})
        return Attempt(delivery, reason, delay)


def _named(delivery: Delivery) -> dict[str, object]:
    """What a log line may say of a delivery."""
    names = {"delivery": delivery.id, "event": delivery.event_id, "kind": delivery.kind}
    return names | {"attempt": delivery.attempts}
