"""A group's consumer: one thread fetches, applies and reports; another shares large batches."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sqlalchemy import Engine

from rollcall_events.codec import RawRecord
from rollcall_events.deadline import HANDLER_DEADLINE, Deadline
from rollcall_events.envelope import Position
from rollcall_events.folding import Failure, HandlerFailed, Outcome
from rollcall_events.inbox import NO_FAILURES, StaleOwner
from rollcall_events.moments import Moments
from rollcall_events.pace import Pace
from rollcall_events.parking_guard import ParkingGuard, TooManyParked
from rollcall_events.postgres import is_store_trouble, is_timeout, may_be_the_record
from rollcall_events.session import Session, SessionOver
from rollcall_events.settings import KafkaSettings
from rollcall_events.status import Reporter, Status
from rollcall_events.stored_offsets import Refused, check_topic
from rollcall_events.subscription import Subscription
from rollcall_events.topic import Topic, TopicUnavailable, ensure_topic
from rollcall_events.unfetched import Unfetched
from rollcall_events.writer import Writer, in_parts, side_by_side

log = logging.getLogger(__name__)

BATCH_SIZE = 500  # records of a transaction
# Records in hand, in batches, and the transactions made of them, at the most. While the last of
# these end, or where all is of one partition, a writer is idle.
BATCHES = 16
WRITERS = 2  # transactions at a time
LARGE = 200  # records in hand, from which they are applied in more than one transaction
POLL_WAIT = 0.1  # seconds; how long `stop` may wait for an idle loop
# A transaction costs what dozens of records cost, so while records keep coming they are gathered
# for as long as the last transaction took. A record that comes alone does not wait.
GATHER_MOST = 0.005  # seconds
STUCK_AFTER = 60.0  # seconds without a turn of the loop, or a transaction in it
POLL_WITHIN = 60.0  # seconds, of transactions in a turn; a fifth of max.poll.interval.ms
FIRST_BACKOFF, LAST_BACKOFF = 0.2, 5.0  # seconds, while Postgres is away


class Consumer:
    """Folds a topic into a group's schema until stopped.

    `failed` is set when the process has to be replaced: the client is dead. While Postgres is
    away the consumer keeps its place in the group, and goes on by itself. on_topic: told of the
    topic, and None if it is not the one that the stored offsets are of. verify: called before
    stored offsets are gone on from, so before Kafka is told of others; it raises Refused if they
    must not be, and TopicUnavailable or the store's errors to be called again. batch_size: the
    most records of a transaction. handler_deadline: seconds after which a handler is interrupted,
    and its record parked. pace: how much of its time it may work. moments: asked for by groups that
    answer for moments.
    """

    def __init__(
        self,
        subscription: Subscription,
        settings: KafkaSettings,
        engine: Engine,
        *,
        on_topic: Callable[[Topic | None], None] = lambda topic: None,
        verify: Callable[[Topic], None] = lambda topic: None,
        batch_size: int = BATCH_SIZE,
        handler_deadline: float = HANDLER_DEADLINE,
        pace: Pace | None = None,
    ):
        self.failed = threading.Event()
        self.moments = Moments(engine, subscription, settings)
        self._subscription = subscription
        self._settings = settings
        self._engine = engine
        self._on_topic = on_topic
        self._verify = verify
        self._batch_size = batch_size
        self._stopping = threading.Event()
        self._rejoining = threading.Event()
        self._reporter = Reporter()
        self._turned_at = time.monotonic()
        self._gather_until = self._polled_at = 0.0  # of time.monotonic
        self._pace = pace or Pace()
        self._guard = ParkingGuard()
        self._unfetched = Unfetched()
        self._deadline = Deadline(handler_deadline)
        self._timed_out: Position | None = None  # the record of which a statement took too long
        self._writers = [Writer(engine, subscription, self._deadline) for _ in range(WRITERS)]
        self._thread = threading.Thread(
            target=self._run, name=f"consumer-{subscription.group}", daemon=True
        )

    def start(self) -> None:
        self._deadline.start()
        self._thread.start()

    def stop(self, timeout: float = 10) -> None:
        """Finish or roll back the batch in hand, leave the group, and end."""
        self._stopping.set()
        self._thread.join(timeout)
        self._deadline.stop()

    def rejoin(self) -> None:
        """Begin anew from the stored offsets: they may be others than those that were stored."""
        self._rejoining.set()

    def healthy(self) -> bool:
        """Whether the loop moves."""
        return self._thread.is_alive() and time.monotonic() - self._turned_at < STUCK_AFTER

    def ready(self) -> bool:
        return self.healthy() and self._reporter.status.state == "running"

    def status(self) -> Status:
        return self._reporter.status

    def _run(self) -> None:
        try:
            self._sessions()
        finally:
            if not self._stopping.is_set():
                self.failed.set()
                self._reporter.report("stopped: the consumer ended")

    def _sessions(self) -> None:
        while not self._stopping.is_set():
            try:
                self._one_session()
            except Refused as error:
                self._on_topic(None)
                self._stop_and_say_why(error)
            except TooManyParked as error:
                self._stop_and_say_why(error)
            except Exception as error:  # noqa: BLE001  (sorted out by its kind)
                if not self._again_after(error):
                    return

    def _again_after(self, error: Exception) -> bool:
        """Whether joining again may help; waits a moment then."""
        if isinstance(error, SessionOver) and error.fatal:
            log.critical("the consumer is dead", extra={"reason": str(error)})
            return False
        ours = isinstance(error, (SessionOver, StaleOwner, TopicUnavailable))
        if not ours and not is_store_trouble(error):
            log.error("the consumer ended", exc_info=error)
            return False
        reason = (str(error) if ours else "") or type(error).__name__
        log.warning("joining again", extra={"reason": reason})
        self._reporter.report(f"waiting: {reason}")
        self._stopping.wait(FIRST_BACKOFF * 2)
        return True

    def _stop_and_say_why(self, error: Exception) -> None:
        """Stay alive for it; starting again would not mend it."""
        log.critical("nothing is consumed", extra={"reason": str(error)})
        self._reporter.report(f"stopped: {error}")
        while not self._stopping.wait(1):
            self._turned_at = time.monotonic()

    def _one_session(self) -> None:
        topic = ensure_topic(self._settings, self._subscription.topic, deadline=1)
        check_topic(self._engine, topic)
        self._verify(topic)
        self._on_topic(topic)
        self._rejoining.clear()
        group = self._subscription.group
        session = Session(self._settings, group, topic, self._engine, self._verify, self._unfetched)
        self._reporter.begin()
        try:
            self._turns(session, topic)
        finally:
            for writer in self._writers:
                writer.close()
            session.close()

    def _turns(self, session: Session, topic: Topic) -> None:
        reported = 0.0
        while not self._stopping.is_set():
            self._turned_at = time.monotonic()
            if self._rejoining.is_set():
                raise SessionOver("the stored offsets are to be read again")
            limit = self._pace.limit(BATCHES * self._batch_size)
            session.fetch(limit, POLL_WAIT)
            self._polled_at = time.monotonic()
            if session.in_hand or session.marked_ends:
                session.gather(limit, self._gather_until)
                records, began = len(session.in_hand), time.monotonic()
                self._apply_in_hand(session, topic)
                self._pace.rest(records, began, self._stopping)
            session.commit_if_due()
            session.look_for_more()
            self.moments.turn(session)
            if self._turned_at - reported > 0.5:
                reported = self._turned_at
                self._reporter.report("running" if session.positions else "joining", session)

    def _apply_in_hand(self, session: Session, topic: Topic) -> None:
        """Apply everything in hand; with Postgres away, wait for it and stay in the group."""
        began = time.monotonic()
        backoff = 0.0
        while (session.in_hand or session.marked_ends) and not self._stopping.is_set():
            try:
                while len(session.in_hand) >= LARGE and self._apply_side_by_side(session, topic):
                    self._poll_if_due(session)
                self._apply_or_split(session, topic)
                session.move_over_marks()
            except Exception as error:
                if not is_store_trouble(error):
                    raise
                backoff = min(max(backoff * 2, FIRST_BACKOFF), LAST_BACKOFF)
                self._wait_for_store(session, backoff, error)
        session.resume()
        ended = time.monotonic()
        self._gather_until = ended + min(ended - began, GATHER_MOST)

    def _apply_side_by_side(self, session: Session, topic: Topic) -> bool:
        """Apply what is in hand in transactions of other partitions each, some of them at once.
        Whether that helped, and may again: what a record's trouble keeps from being applied stays
        in hand."""
        parts, left = in_parts(session.in_hand, self._batch_size, LARGE, BATCHES)
        if len(parts) < 2:
            return False
        ended = side_by_side(
            self._writers,
            [partial(self._write, session, topic, records) for records in parts],
            lambda: self._stopping.is_set() or self._poll_is_due(),
        )
        not_applied: list[RawRecord] = []
        for number, records in enumerate(parts):
            result = ended.get(number)
            if isinstance(result, Outcome):
                session.applied(records)
                self._reporter.totals += result
            else:
                not_applied += records
        session.in_hand = not_applied + left
        errors = [result for result in ended.values() if isinstance(result, Exception)]
        if others := [error for error in errors if not _may_be_a_record(error)]:
            raise others[0]
        return bool(ended) and not errors

    def _write(
        self,
        session: Session,
        topic: Topic,
        records: Sequence[RawRecord],
        writer: Writer,
        failures: Mapping[Position, Failure] = NO_FAILURES,
    ) -> Outcome:
        self._turned_at = time.monotonic()
        starts = {record.partition: session.positions[record.partition] for record in records}
        return writer.write(records, starts, topic.partitions, failures)

    def _apply_or_split(self, session: Session, topic: Topic) -> None:
        """Apply everything in hand. What cannot be handled is found by splitting, and parked."""
        failures: dict[Position, Failure] = {}
        size = self._batch_size
        while session.in_hand and not self._stopping.is_set():
            records = session.in_hand[:size]
            try:
                outcome = self._write(session, topic, records, self._writers[0], failures)
            except HandlerFailed as failed:
                if self._took_too_long(session, failed.record, failed.__cause__):
                    continue
                self._about_to_park(failed.record, failed.failure)
                failures[failed.record.position] = failed.failure
                # All before it, and it; more and more of the rest then.
                size = 1 + next(i for i, r in enumerate(records) if r is failed.record)
            except Exception as error:  # noqa: BLE001  (of whatever writes for many records)
                size = self._smaller(session, records, failures, error)
            else:
                self._reporter.totals += outcome
                session.applied(records)
                del session.in_hand[: len(records)]
                size = min(2 * size, self._batch_size)
                self._poll_if_due(session)

    def _poll_if_due(self, session: Session) -> None:
        """Tell the group that this member lives. What is in hand may be less afterwards."""
        if self._poll_is_due():
            session.keep_place()
            self._polled_at = time.monotonic()

    def _poll_is_due(self) -> bool:
        return time.monotonic() - self._polled_at > POLL_WITHIN

    def _smaller(
        self,
        session: Session,
        records: Sequence[RawRecord],
        failures: dict[Position, Failure],
        error: Exception,
    ) -> int:
        """How many records to try after an error that names none of them."""
        if not _may_be_a_record(error):
            raise error
        if len(records) > 1:
            log.warning("batch failed, trying half of it", extra=_kind(error))
            if is_timeout(error):
                session.keep_place()
            return len(records) // 2
        record = records[0]
        if record.position in failures:
            raise error  # parking it does not help
        if not self._took_too_long(session, record, error):
            failure = Failure.of(error)
            self._about_to_park(record, failure)
            failures[record.position] = failure
        return 1

    def _took_too_long(
        self, session: Session, record: RawRecord, error: BaseException | None
    ) -> bool:
        """Whether to try the record once more: Postgres or this process may not have run."""
        if error is None or not is_timeout(error) or record.position == self._timed_out:
            return False
        self._timed_out = record.position
        session.keep_place()
        return True

    def _about_to_park(self, record: RawRecord, failure: Failure) -> None:
        self._guard.check(record.key, failure.reason)
        told = {"partition": record.partition, "offset": record.offset, "reason": failure.reason}
        log.error("a record cannot be handled and is parked", extra=told)

    def _wait_for_store(self, session: Session, seconds: float, error: Exception) -> None:
        """Pause, and keep polling so that the group knows that this member lives."""
        log.warning("Postgres is away", extra=_kind(error))
        session.keep_place()
        self._reporter.report("waiting: Postgres is away", session)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._stopping.is_set():
            self._turned_at = time.monotonic()
            session.fetch(1, POLL_WAIT)
            session.commit_if_due()  # what is stored is known by it, should Postgres be restored


def _may_be_a_record(error: Exception) -> bool:
    return not isinstance(error, StaleOwner) and may_be_the_record(error)


def _kind(error: Exception) -> dict[str, str]:
    return {"reason": type(error).__name__}
