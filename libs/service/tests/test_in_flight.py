"""Nobody gets two messages at once, also if one comes before another that is on its way."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, text
from support.sending import SCHEMA, WITHIN, Provider, cause, counts, owe, prepared
from support.waiting import eventually

from rollcall_events.postgres import Wire
from rollcall_service import deliveries, leasing, ledger
from rollcall_service.ledger import Delivery, Message, Owed
from rollcall_service.sender import Sender


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with prepared(engine) as connection:
        yield connection


@contextmanager
def owing(engine: Engine, recipient: str, body: str) -> Iterator[None]:
    """The row has its id, and is committed at the end."""
    owed = Owed()
    owed.add(cause(), [Message("test", [recipient], {"text": body})])
    with Wire(engine, ledger.PREPARE) as wire:
        wire.send("BEGIN")
        for statement in owed.adding():
            wire.send(*statement)
        yield
        wire.send("COMMIT")


def take(connection: Connection, sender: str) -> list[int]:
    return [d.id for d in leasing.take(connection, sender, limit=10, lease=30)]


def test_what_is_committed_late_waits_for_what_was_taken(
    engine: Engine, connection: Connection
) -> None:
    with owing(engine, "ada", "first"):
        owe(engine, "ada: second")
        (second,) = leasing.take(connection, "one", limit=10, lease=30)
        connection.commit()
    assert second.id == 2
    assert take(connection, "two") == []
    leasing.record_sent(connection, [second])
    assert take(connection, "two") == [1]


@pytest.mark.parametrize("attempts", [0, 1])
def test_what_waits_for_it_takes_no_place_of_others(
    engine: Engine, connection: Connection, attempts: int
) -> None:
    with owing(engine, "ada", "first"):
        owe(engine, "ada: second")
        assert take(connection, "one") == [2]
        connection.commit()
    owe(engine, "bob: hi")
    connection.execute(text("UPDATE deliveries SET attempts = :n"), {"n": attempts})
    (taken,) = leasing.take(connection, "two", limit=1, again=1, lease=30)
    assert taken.recipient == "bob"


def test_two_senders_that_look_at_once(engine: Engine, connection: Connection) -> None:
    with prepared(engine) as other:
        with owing(engine, "ada", "first"):
            owe(engine, "ada: second")
            assert take(connection, "one") == [2]
        assert take(other, "two") == []  # the first has not committed yet
        other.rollback()
        connection.commit()
        assert take(other, "two") == []


def test_a_lease_is_not_given_beside_another(engine: Engine, connection: Connection) -> None:
    """To who found the earlier row before the other was leased."""
    owe(engine, "ada: first", "ada: second")
    connection.execute(
        text("UPDATE deliveries SET lease_until = now() + interval '1 h' WHERE id = 2")
    )
    statement = "EXECUTE lease (NULL, %s, 'one', 30)"
    assert connection.exec_driver_sql(statement, ([1],)).all() == []


class Slow:
    """A provider that has the second message in hand until it is released."""

    def __init__(self) -> None:
        self.provider = Provider({"ada": self._answer})
        self._going, self._released = threading.Event(), threading.Event()

    def _answer(self, delivery: Delivery) -> None:
        if delivery.payload["text"] == "second":
            self._going.set()
            assert self._released.wait(WITHIN)

    def wait(self) -> None:
        assert self._going.wait(WITHIN)

    def sends_it_alone(self, engine: Engine) -> None:
        owe(engine, "bob: hi")  # once this has gone out, what is due has been looked for
        eventually(lambda: "bob: hi" in self.provider.accepted)
        assert [recipient for recipient, _ in self.provider.tried] == ["ada", "bob"]
        self._released.set()
        eventually(lambda: counts(engine) == {"sent": 3})
        assert self.provider.accepted == ["bob: hi", "ada: second", "ada: first"]


def test_what_was_committed_late_goes_on_when_the_other_ends(
    engine: Engine, start: Callable[..., Sender]
) -> None:
    slow = Slow()
    with owing(engine, "ada", "first"):
        owe(engine, "ada: second")
        start(slow.provider)
        slow.wait()
    slow.sends_it_alone(engine)


def test_what_is_tried_again_by_hand_goes_on_when_the_other_ends(
    engine: Engine, start: Callable[..., Sender]
) -> None:
    slow = Slow()
    owe(engine, "ada: first", "ada: second")
    with engine.begin() as connection:
        connection.execute(text("UPDATE deliveries SET state = 'failed' WHERE id = 1"))
    start(slow.provider)
    slow.wait()
    with engine.begin() as connection:
        first = deliveries.Filter(ids=[1])
        deliveries.retry(connection, SCHEMA, first, limit=1, after=0, dry_run=False)
    slow.sends_it_alone(engine)
