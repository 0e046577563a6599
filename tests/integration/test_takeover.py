"""Take-overs while commands are decided and both generations are projected: nothing is lost.

Without Kafka and threads of the service, so that there are thousands of meetings in a few seconds.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from integration.desks import create, rename
from sqlalchemy import Engine, text
from support.waiting import eventually

from rollcall_events import (
    PARTITIONS,
    KafkaSettings,
    Position,
    Publisher,
    RawRecord,
    Recorded,
    Subscription,
)
from rollcall_events.ids import uuid7
from rollcall_events.inbox import apply
from rollcall_events.inbox import connect as connect_projection
from rollcall_events.partitioner import partition_of
from rollcall_events.postgres import Wire
from rollcall_service.operators import NotNow
from rollcall_service.postgres import make_engine
from rollcall_user_management.admission.store import PREPARE_MARK, mark_appended
from rollcall_user_management.admission.transaction import (
    Admission,
    commit,
    connect,
    read,
    rollback,
)
from rollcall_user_management.commands.judging import Judge, question_of
from rollcall_user_management.generations import table, takeover
from rollcall_user_management.generations.service import no_filling
from rollcall_user_management.projection.handlers import subscription

FLIPS = 10
USERS = 4
_BEGUN_WITHIN = 60.0  # seconds until each user has been created and changed
PAUSE = 0.004  # seconds


class Stage:
    """Two generations, a log in memory, and who works on them."""

    def __init__(self, url: str, first: Engine):
        self.first = first
        self.engines = {
            n: make_engine(url, schema=f"user_management_g{n},user_management", pool_size=4)
            for n in (1, 2)
        }
        self.log: dict[int, list[RawRecord]] = {p: [] for p in range(PARTITIONS)}
        self.admitted: Counter[int] = Counter()  # of each user
        self.stopping = threading.Event()  # no further command
        self.all_appended = threading.Event()
        self.judge = Judge(Publisher(KafkaSettings("127.0.0.1:1"), "users", "/services/t"), "topic")
        with first.begin() as connection:
            table.fill(connection, full_speed=True)
        for engine in self.engines.values():
            with engine.begin() as connection:
                connection.execute(
                    text(
                        "INSERT INTO offsets (topic, partition, next_offset, topic_id)"
                        " SELECT 'users', p, 0, 'id' FROM generate_series(0, 49) AS p"
                    )
                )

    def close(self) -> None:
        for engine in self.engines.values():
            engine.dispose()

    def live(self) -> int:
        with self.first.connect() as connection:
            return table.live_of(table.read(connection)).number

    def behind(self, number: int) -> dict[int, int]:
        """Partition → offset, where there is something to project."""
        statement = text("SELECT partition, next_offset FROM offsets")
        with self.engines[number].connect() as connection:
            rows = connection.execute(statement).all()
        return {p: at for p, at in rows if at < len(self.log[p])}

    def append(self, admission: Admission) -> Recorded:
        record, now = admission.record, datetime.now(UTC)
        partition = partition_of(record.key, PARTITIONS)
        lane = self.log[partition]
        place = (partition, len(lane))
        stamp = int(now.timestamp() * 1_000)
        lane.append(RawRecord("users", *place, record.key, record.value, record.headers, stamp))
        return Recorded(Position("users", *place), now)

    def project(self, number: int, wire: Wire) -> bool:
        """One batch, if there is any."""
        behind = self.behind(number)
        if not behind:
            return False
        partition, start = random.choice(list(behind.items()))
        records = self.log[partition][start : start + random.randint(1, 5)]
        apply(
            wire,
            _slow(number),
            records,
            {partition: start},
            PARTITIONS,
        )
        return True

    def wire(self, number: int) -> Wire:
        return connect_projection(self.engines[number], _slow(number))


def _slow(number: int) -> Subscription:
    """The projection, with time to meet a take-over between its last question and its commit."""
    projection = subscription(f"user_management_g{number}")
    pause = (f"SELECT pg_sleep({PAUSE})", ())
    return replace(projection, end=lambda batch, bad: [*projection.end(batch, bad), pause])


@pytest.fixture
def stage(database_url: str, store: Engine) -> Iterator[Stage]:
    made = Stage(database_url, store)
    yield made
    made.close()


class Admitting:
    """Decides commands, as a lane does, on whichever generation is live."""

    def __init__(self, stage: Stage):
        self._stage = stage
        self._wire = self._connected()
        self._marks = Wire(stage.first, PREPARE_MARK)
        self.moves = 0

    def _connected(self) -> Wire:
        wire = connect(self._stage.engines[self._stage.live()])
        wire.send("SET lock_timeout = 0")  # a take-over may wait for its locks for as long as ours
        return wire

    def close(self) -> None:
        self._wire.close()
        self._marks.close()

    def admit(self, command: Any) -> Admission | None:
        """What was admitted and appended; nothing where a neighbour has to settle first."""
        questions = [question_of(command)]
        reading = read(self._wire, questions)
        if reading.moved:
            self._wire.close()
            self._wire = self._connected()
            self.moves += 1
            return None
        (verdict,) = self._stage.judge.verdicts(questions, [command], reading.facts)
        if not isinstance(verdict, Admission):
            rollback(self._wire)
            assert not isinstance(verdict, Exception), verdict
            return None
        commit(self._wire, [verdict], [])
        recorded = self._stage.append(verdict)
        if random.random() < 0.8:  # a mark may be lost
            mark_appended(self._marks, [(verdict.event_id, recorded)])
        return verdict


def test_take_overs_lose_no_settling_and_no_version(stage: Stage) -> None:
    with ThreadPoolExecutor(8) as threads:
        work = [threads.submit(_commands, stage, n) for n in range(USERS)]
        folding = [threads.submit(_fold, stage, n) for n in (1, 2)]
        try:
            eventually(
                lambda: all(stage.admitted[n] > 1 for n in range(USERS)), within=_BEGUN_WITHIN
            )
            _flip(stage)
            stage.stopping.set()
            moves = sum(future.result(30) for future in work)
        finally:
            stage.stopping.set()
            stage.all_appended.set()
        for future in folding:
            future.result(30)
    with stage.first.connect() as connection:
        unsettled = connection.execute(
            text("SELECT count(*) FROM admissions WHERE settled_at IS NULL")
        ).scalar_one()
        versions = connection.execute(
            text(
                "SELECT key, max(version), count(*), count(DISTINCT version)"
                " FROM admissions GROUP BY key"
            )
        ).all()
    assert moves > 3
    assert unsettled == 0
    assert len(versions) == USERS
    assert all(newest == count == distinct > 1 for _, newest, count, distinct in versions)
    assert _rows(stage, 1) == _rows(stage, 2) == {key: newest for key, newest, _, _ in versions}


def test_one_that_is_behind_is_not_used(stage: Stage) -> None:
    admitting = Admitting(stage)
    assert admitting.admit(create("ada@x.org"))
    admitting.close()
    with stage.wire(1) as first, stage.wire(2) as second:
        assert stage.project(1, first)
        with pytest.raises(takeover.Behind, match="1 records behind"):
            takeover.use(stage.first, 2, within=0)
        assert stage.live() == 1
        assert stage.project(2, second)
    takeover.use(stage.first, 2, within=0)
    assert stage.live() == 2


def test_one_that_holds_what_the_live_one_has_applied_is_not_used(stage: Stage) -> None:
    """Its values would be free to take."""
    key = uuid7()
    _park(stage, 2, key)
    with pytest.raises(takeover.CannotUse, match=f"events of 1 users or roles .* of {key}"):
        takeover.use(stage.first, 2, within=0)
    assert stage.live() == 1
    _park(stage, 1, key)
    takeover.use(stage.first, 2, within=0)
    assert stage.live() == 2


def test_nothing_is_discarded_while_a_generation_is_filled(stage: Stage) -> None:
    with pytest.raises(NotNow, match="generation 2 is being filled"), no_filling(stage.first):
        pass
    takeover.use(stage.first, 2, within=0)
    with no_filling(stage.first):
        pass


def _park(stage: Stage, number: int, key: str) -> None:
    statement = (
        'INSERT INTO parked (key, partition, "offset", reason, stack)'
        " VALUES (:key, 1, 7, 'a test', '')"
    )
    with stage.engines[number].begin() as connection:
        connection.execute(text(statement), {"key": key})


def _commands(stage: Stage, n: int) -> int:
    admitting = Admitting(stage)
    command: Any = create(f"{n}@x.org")
    key = ""
    while not stage.stopping.is_set():
        if admitted := admitting.admit(command):
            key = admitted.key
            stage.admitted[n] += 1
            command = rename(key, f"Name {random.random()}")
    admitting.close()
    return admitting.moves


def _fold(stage: Stage, number: int) -> None:
    with stage.wire(number) as wire:
        while stage.project(number, wire) or not stage.all_appended.is_set():
            pass


def _flip(stage: Stage) -> None:
    flips, end = 0, time.monotonic() + 90
    while flips < FLIPS:
        assert time.monotonic() < end
        try:
            takeover.use(stage.first, 3 - stage.live(), within=1)
            flips += 1
        except takeover.CannotUse:
            pass


def _rows(stage: Stage, number: int) -> dict[Any, int]:
    with stage.engines[number].connect() as connection:
        return {r.id: r.version for r in connection.execute(text("SELECT id, version FROM users"))}
