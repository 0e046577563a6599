"""Lanes to Postgres: each takes all commands that wait as one group (group commit).

There is no timer. A lane that is free takes what is there, so a command that comes alone goes at
once, and those that come while the lanes are busy share the next transaction.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import psycopg2
from prometheus_client import Gauge, Histogram
from psycopg2.errors import LockNotAvailable
from sqlalchemy import Engine

from rollcall_events import LogUnavailable, Publisher, Recorded
from rollcall_events.postgres import STORE_ERRORS, Wire, is_store_trouble
from rollcall_user_management.admission.append import Mark, append
from rollcall_user_management.admission.transaction import (
    Admission,
    Answered,
    Facts,
    Reading,
    commit,
    connect,
    read,
    rollback,
)
from rollcall_user_management.commands.bridge import Bridge
from rollcall_user_management.commands.judging import (
    CommandIdReused,
    Judge,
    Verdict,
    Wait,
    earlier,
    fingerprint,
)
from rollcall_user_management.commands.tickets import Stage, Ticket
from rollcall_user_management.readstore import NotServing

log = logging.getLogger(__name__)

LANES = 2  # groups in flight: one is read while another is flushed to disk
GROUP = 128  # commands in a group at most
WAITING = 2_048  # commands in the queue at most

_BACKLOG = Gauge("rollcall_admission_backlog", "Commands that wait for a lane.")
_GROUP_SIZE = Histogram(
    "rollcall_admission_group_size",
    "Commands that were read and decided in one transaction.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)


class TooManyWaiting(Exception):
    """Nothing was done: the queue is full."""


class LogNotSeen(Exception):
    """Nothing was done: this replica has just started, and not reached the log yet."""


class StoreBehindLog(Exception):
    """Nothing was done: Postgres was restored or failed over, and may hold less than the log."""


class Stalled(Exception):
    """Nothing was done: this process did not run for a while (pulse.py)."""


class _Moved(Exception):
    """Another generation of the read store is live: nothing that was read can be decided on."""


class OutcomeUnknown(Exception):
    """Admitted, or perhaps so, and not known to be in the log. Repeat it to learn its answer."""


@dataclass(frozen=True)
class Acknowledged:
    """The event is in the log. answer: of the admission."""

    answer: bytes
    recorded: Recorded


class Lanes:
    """Component: the threads that admit commands and hand their events to the publisher.

    live: where the live generation is; raises NotServing. moved: told that another is.
    mark: told of every admission that is in the log. topic_id: Kafka's id of the topic, None
    while it is not known. verified: whether an incarnation of Postgres is known to hold all that
    the log was told of. stalled: whether this process may be behind what it is asked for.
    """

    def __init__(
        self,
        live: Callable[[], Engine],
        moved: Callable[[], None],
        publisher: Publisher,
        mark: Mark,
        topic_id: Callable[[], str | None],
        verified: Callable[[str], bool],
        stalled: Callable[[], bool],
    ):
        self.failed = threading.Event()
        self._live = live
        self._moved = moved
        self._publisher = publisher
        self._mark = mark
        self._topic_id = topic_id
        self._verified = verified
        self._stalled = stalled
        self._bridge = Bridge()
        self._queue: deque[Ticket] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, name=f"lane-{n}", daemon=True) for n in range(LANES)
        ]

    def start(self) -> None:
        _BACKLOG.set_function(lambda: len(self._queue))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the groups in hand; what still waits is not admitted."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=3)

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Raises TooManyWaiting."""
        with self._changed:
            if len(self._queue) + len(tickets) > WAITING:
                raise TooManyWaiting
            self._queue += tickets
            self._changed.notify()

    def _run(self) -> None:
        wire: Wire | None = None
        try:
            while group := self._take():
                wire = self._handle(wire, group)
        except Exception:  # no lanes, no commands: better replaced than silently deaf
            log.exception("a lane ended")
            self.failed.set()
        finally:
            if wire is not None:
                wire.close()

    def _take(self) -> list[Ticket]:
        """Wait for commands; none when the lane is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping)
            if self._stopping:
                return []
            group = [self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))]
            if self._queue:
                self._changed.notify()
        return [ticket for ticket in group if ticket.stage is Stage.WAITING] or self._take()

    def _handle(self, wire: Wire | None, group: list[Ticket]) -> Wire | None:
        """Returns the session if it is good for another group."""
        try:
            wire = self._on_live(wire)
            self._admit(wire, group)
        except NotServing as error:
            self._end(group, error)
        except _Moved:
            self._begin_anew(wire, group)
            return None
        except STORE_ERRORS as error:
            return self._after(error, _rolled_back(wire), group)
        return wire

    def _on_live(self, wire: Wire | None) -> Wire:
        """A session on the live generation, as far as this replica knows: the tables of another
        may be gone."""
        engine = self._live()
        if wire is not None and wire.engine is engine:
            return wire
        if wire is not None:
            wire.close()
        return connect(engine)

    def _begin_anew(self, wire: Wire | None, group: list[Ticket]) -> None:
        """On the generation that has become live, with a session of it."""
        if wire is not None:
            wire.close()
        self._moved()
        with self._changed:
            self._queue.extendleft(reversed(group))

    def _after(self, error: Exception, wire: Wire | None, group: list[Ticket]) -> Wire | None:
        """Postgres is away, or refused the group as a whole, perhaps because of one command."""
        if isinstance(error, LockNotAvailable):
            self._end(group, Wait())
        elif len(group) == 1 or is_store_trouble(error):
            self._end(group, error)
        else:
            log.warning("group failed, trying one by one", extra={"reason": type(error).__name__})
            for ticket in group:
                wire = self._handle(wire, [ticket])
        return wire

    def _admit(self, wire: Wire, group: list[Ticket]) -> None:
        _GROUP_SIZE.observe(len(group))
        questions = [ticket.question for ticket in group]
        reading = read(wire, questions)
        if reading.moved:
            raise _Moved
        topic_id = self._topic_id()
        if topic_id is None:
            self._only_kept(wire, group, reading, LogNotSeen())
        elif not self._publisher.available:
            self._only_kept(wire, group, reading, LogUnavailable("no broker answers"))
        elif self._stalled():  # if it stalls later, the locks keep others from deciding meanwhile
            self._only_kept(wire, group, reading, Stalled())
        elif reading.held:
            self._only_kept(wire, group, reading, StoreBehindLog())
        elif not self._verified(reading.incarnation):
            self._only_kept(wire, group, reading, Wait())
        else:
            judge = Judge(self._publisher, topic_id)
            for ticket in group:
                if ticket.spans is not None:
                    ticket.spans.judging(self._publisher.topic)
            verdicts = judge.verdicts(questions, [t.command for t in group], reading.facts)
            self._store(wire, list(zip(group, verdicts, reading.facts, strict=True)))

    def _only_kept(
        self,
        wire: Wire,
        group: list[Ticket],
        reading: Reading,
        otherwise: Wait | Exception,
    ) -> None:
        """Nothing may be admitted now, but an answer that was kept is good."""
        rollback(wire)
        for ticket, facts in zip(group, reading.facts, strict=True):
            outcome: Verdict = otherwise
            if facts.kept is not None:
                try:
                    outcome = earlier(facts.kept, fingerprint(ticket.command))
                except CommandIdReused as error:
                    outcome = error
            self._bridge.end(ticket.future, outcome)

    def _store(self, wire: Wire, judged: Sequence[tuple[Ticket, Verdict, Facts]]) -> None:
        admitted = [(t, v) for t, v, _ in judged if isinstance(v, Admission) and t.begin_storing()]
        answered = [
            (t, v)
            for t, v, known in judged
            if isinstance(v, Answered) and v is not known.kept and t.begin_storing()
        ]
        began = time.monotonic()
        if admitted or answered:
            answers = [(ticket.question.command_id, answer) for ticket, answer in answered]
            try:
                commit(wire, [admission for _, admission in admitted], answers)
            except psycopg2.Error:
                if wire.lost:  # whether the commit was lost, or its answer?
                    self._end([t for t, _ in admitted], OutcomeUnknown())
                raise
        else:
            rollback(wire)
        for ticket, admission in admitted:
            ticket.stage = Stage.STORED
            if ticket.spans is not None:
                ticket.spans.stored(len(judged))
            self._append(ticket, admission, began)
        for ticket, verdict, _ in judged:
            if not isinstance(verdict, Admission):
                self._bridge.end(ticket.future, verdict)

    def _append(self, ticket: Ticket, admission: Admission, since: float) -> None:
        def appended(future: Future[Recorded]) -> None:
            if future.exception() is None:
                self._bridge.end(ticket.future, Acknowledged(admission.answer, future.result()))
            else:
                self._bridge.end(ticket.future, OutcomeUnknown())

        event_id = admission.event_id
        send = partial(append, self._publisher, self._mark, event_id, admission.record, since)
        try:
            future = ticket.spans.appending(event_id, send) if ticket.spans else send()
        except LogUnavailable:
            self._bridge.end(ticket.future, OutcomeUnknown())
        else:
            future.add_done_callback(appended)

    def _end(self, group: Sequence[Ticket], outcome: Wait | Exception) -> None:
        for ticket in group:
            self._bridge.end(ticket.future, outcome)


def _rolled_back(wire: Wire | None) -> Wire | None:
    """The session, good for another group; None if it is lost."""
    if wire is None:
        return None
    with contextlib.suppress(psycopg2.Error):
        rollback(wire)
        return wire
    wire.close()
    return None
