"""A client that librdkafka has left without a broker is found out, and another takes its place."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from support import forgetful
from support.forgetful import Forgetful
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import KafkaSettings, LogUnavailable, NotAcknowledged, Publisher, Topic
from rollcall_events import session as session_module
from rollcall_events.codec import RawRecord
from rollcall_events.ids import uuid7
from rollcall_events.lost import is_lost
from rollcall_events.session import Session, SessionOver
from rollcall_events.unfetched import Unfetched

ATTEMPTS = 10  # one in twenty clients is not lost, but tries bootstrap.servers again
WITHIN = 5.0  # seconds until it is found out, by a publisher that looks for a broker meanwhile
TOPIC = Topic(forgetful.TOPIC, "an id", 50, "a cluster")


@dataclass(frozen=True)
class Settings(KafkaSettings):
    """Of a client that asks for brokers, and is looked at, all the time."""

    def common(self) -> dict[str, Any]:
        return super().common() | {"topic.metadata.refresh.interval.ms": 50}

    def producer(self) -> dict[str, Any]:
        return super().producer() | {"statistics.interval.ms": 100}

    def consumer(self, group: str) -> dict[str, Any]:
        patience = {"session.timeout.ms": 1_000, "heartbeat.interval.ms": 300}  # also in closing
        return super().consumer(group) | {"statistics.interval.ms": 100} | patience


def settings(broker: Forgetful) -> Settings:
    return Settings(f"127.0.0.1:{broker.port}", group_protocol="classic")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    eventually(lambda: "closing" not in {thread.name for thread in threading.enumerate()})


def joining(broker: Forgetful) -> Session:
    """A session with something to commit, and no coordinator to commit it to."""
    engine = create_engine("postgresql+psycopg2://")  # nothing is assigned: it stays unused
    session = Session(settings(broker), "group", TOPIC, engine, lambda topic: None, Unfetched())
    session.applied([RawRecord(TOPIC.name, 3, 7, b"", b"", (), 0)])
    return session


@contextmanager
def publishing(broker: Forgetful) -> Iterator[Publisher]:
    publisher = Publisher(settings(broker), TOPIC.name, "/services/test")
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stop()


def why_it_ends(session: Session, broker: Forgetful) -> str | None:
    """Of a session whose broker forgets; None if it goes on."""

    def is_away() -> bool:
        session.fetch(1, 0.01)
        broker.forgets = broker.asked.is_set()
        return broker.away.is_set()

    def is_over() -> bool:
        session.fetch(1, 0.01)
        return False

    try:
        eventually(is_away)
        eventually(is_over, within=WITHIN)
    except SessionOver as over:
        return str(over)
    except AssertionError:
        return None
    raise AssertionError


GROUP = {"source": "logical", "state": "TRY_CONNECT", "stateage": 42_000_000}
UP = {"source": "learned", "state": "UP", "stateage": 42_000_000}
AWAY = {"source": "configured", "state": "INIT", "stateage": 1_000_000}
NEVER_TRIED = {"source": "learned", "state": "INIT", "stateage": 42_000_000}


@pytest.mark.parametrize(
    ("brokers", "lost"),
    [
        ([], True),
        ([GROUP], True),
        ([GROUP, NEVER_TRIED], True),
        ([GROUP, NEVER_TRIED, AWAY], False),
        ([GROUP, UP], False),
        ([AWAY], False),
        ([AWAY | {"state": "CONNECT", "stateage": -1}], False),
        ([AWAY | {"state": "APIVERSION_QUERY", "stateage": 9_706_000}], False),
    ],
)
def test_what_statistics_say(brokers: list[dict[str, object]], lost: bool) -> None:
    """The states are those of clients that went on and of one that did not."""
    assert is_lost({"brokers": dict(enumerate(brokers))}) is lost


def test_a_session_ends_and_closing_it_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "CLOSE_WITHIN", 0.1)
    for _ in range(ATTEMPTS):
        with forgetful.running() as broker:
            session = joining(broker)
            session.commit()
            if reason := why_it_ends(session, broker):
                break
            with suppress(SessionOver):
                session.close()
    assert reason == "the client has lost every broker"
    session.close()  # although there is nobody whom it could commit to


def test_closing_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "CLOSE_WITHIN", 0.5)
    with forgetful.running() as broker:
        session = joining(broker)
        with pytest.raises(SessionOver) as over:
            session.close()
    assert over.value.fatal


def test_a_publisher_goes_on_with_another_client() -> None:
    before = _clients()
    for _ in range(ATTEMPTS):
        with forgetful.running() as broker, publishing(broker) as publisher:
            future = publisher.publish(pb.UserCreatedEvent(user_id=uuid7()))
            eventually(broker.asked.is_set)
            broker.forgets = True
            eventually(broker.away.is_set)
            try:
                ended = future.exception(WITHIN)  # long before its delivery timeout
            except TimeoutError:
                continue
            assert isinstance(ended, NotAcknowledged)
            with forgetful.running(broker.port) as back:
                assert back.asked.wait(10)
            break
    else:
        pytest.fail("no client was ever lost")
    with pytest.raises(LogUnavailable):
        publisher.publish(pb.UserCreatedEvent(user_id=uuid7()))
    assert _clients() <= before  # one that nobody polls would collect statistics for ever


def _clients() -> int:
    """How many live in this process, by their threads."""
    names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    return names.count("rdk:main\n")
