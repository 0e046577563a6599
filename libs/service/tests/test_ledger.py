"""The ledger on a real Postgres: what is added, what may be taken, and what is recorded."""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from support.sending import ledger_at, prepared, store

from rollcall_local.postgres import Server
from rollcall_service import leasing, ledger
from rollcall_service.counts import ledger_counts
from rollcall_service.ledger import Delivery, Message, Owed
from rollcall_service.postgres import make_engine

SCHEMA = "ledger_test"
KEY = "018f0000-0000-7000-8000-000000000001"
LEASE = 30.0


@dataclass(frozen=True)
class Place:
    topic: str = "users"
    partition: int = 7
    offset: int = 42


@dataclass(frozen=True)
class Cause:
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    key: str = KEY
    position: Place = Place()
    recorded_at: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(hours=1))
    imported: bool = False
    traceparent = tracestate = None  # nobody traces it


@pytest.fixture(scope="module")
def engine(postgres: Server) -> Iterator[Engine]:
    with ledger_at(postgres.url(), SCHEMA) as engine:
        yield engine


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with prepared(engine) as connection:
        connection.execute(text("TRUNCATE deliveries RESTART IDENTITY"))
        connection.commit()
        yield connection


def owe(connection: Connection, *recipients: str, event: Cause | None = None) -> None:
    owed = Owed()
    owed.add(event or Cause(), [Message("welcome", [r], {"to": r}) for r in recipients])
    store(connection.engine, owed)


def take(connection: Connection, sender: str = "one", now: datetime | None = None) -> list[str]:
    return [d.recipient for d in leased(connection, sender=sender, now=now)]


def leased(
    connection: Connection,
    limit: int = 10,
    sender: str = "one",
    now: datetime | None = None,
    spacing: float = 0.0,
) -> list[Delivery]:
    taken = leasing.take(connection, sender, limit=limit, lease=LEASE, now=now, spacing=spacing)
    connection.commit()
    leasing.put_behind(connection, now)
    connection.commit()
    return taken


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_repeating_a_handler_adds_nothing(connection: Connection) -> None:
    event = Cause()
    owe(connection, "ada", "bob", event=event)
    owe(connection, "ada", "bob", event=event)
    assert ledger.counts(connection)["pending"] == 2


def test_events_of_two_keys_with_one_id_are_two(connection: Connection) -> None:
    event = Cause()
    owe(connection, "ada", event=event)
    owe(connection, "ada", event=Cause(id=event.id, key=str(uuid.uuid4())))
    assert ledger.counts(connection)["pending"] == 2


@pytest.mark.parametrize("cause", [{"recorded_at": later(-3600)}, {"imported": True}])
def test_what_is_settled_keeps_no_payload(connection: Connection, cause: Any) -> None:
    """What is older than the cut-off, and what an import brought."""
    owe(connection, "ada", event=Cause(**cause))
    row = connection.execute(text("SELECT state, payload, finished_at FROM deliveries")).one()
    assert (row.state, row.payload) == ("settled", {})
    assert row.finished_at is not None
    assert take(connection) == []


def test_a_ledger_that_has_lost_its_cut_off_sends_nothing(connection: Connection) -> None:
    """Rather than everything that the log has ever held."""
    kept = connection.execute(text("DELETE FROM ledger_cutoff RETURNING at")).scalar_one()
    connection.commit()
    try:
        owe(connection, "ada")
        assert ledger.counts(connection)["settled"] == 1
    finally:
        connection.execute(text("INSERT INTO ledger_cutoff VALUES (:at)"), {"at": kept})
        connection.commit()


def test_nothing_to_say_writes_nothing(connection: Connection) -> None:
    owed = Owed()
    owed.add(Cause(), [])
    owed.add(Cause(), [Message("welcome", [], {})])
    assert list(owed.adding()) == []
    store(connection.engine, owed)
    assert set(ledger.counts(connection).values()) == {0}


def test_a_row_brings_what_rendering_needs(connection: Connection) -> None:
    event = Cause()
    owe(connection, "ada", event=event)
    (delivery,) = leased(connection)
    assert (delivery.event_key, delivery.event_id) == (KEY, event.id)
    assert (delivery.kind, delivery.payload, delivery.attempts) == ("welcome", {"to": "ada"}, 1)
    assert 0 <= delivery.age < 5


def test_only_the_earliest_open_row_of_a_recipient(connection: Connection) -> None:
    for recipient in ("ada", "ada", "bob"):
        owe(connection, recipient)
    first = leased(connection)
    assert [d.recipient for d in first] == ["ada", "bob"]
    assert take(connection) == []  # the second to ada waits behind the leased one
    leasing.record_sent(connection, [first[0]])
    connection.commit()
    assert take(connection) == ["ada"]


def test_who_is_owed_thousands_is_looked_at_once(connection: Connection) -> None:
    """And is still served one by one, as each is done."""
    for _ in range(5):
        owe(connection, "ada")
    connection.execute(
        text(
            'INSERT INTO deliveries (event_key, event_id, topic, partition, "offset", kind,'
            " recipient, payload, state) SELECT gen_random_uuid(), gen_random_uuid(), 'users', 0,"
            " n, 'welcome', 'ada', '{}', 'pending' FROM generate_series(1, 1995) n"
        )
    )
    connection.commit()
    owe(connection, "bob")
    assert take(connection) == ["ada", "bob"]
    assert take(connection) == []
    due = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND due_at <= now()"
    assert connection.execute(text(due)).scalar_one() == 2  # the two that are leased
    assert leasing.next_due(connection) is None
    for number in (1, 2, 3):
        (row,) = connection.execute(
            text("SELECT * FROM deliveries WHERE recipient = 'ada' AND lease_until IS NOT NULL")
        ).all()
        assert row.id == number
        leasing.record_sent(connection, [held(row)])
        connection.commit()
        assert take(connection) == ["ada"]


def held(row: Any) -> Delivery:
    cause = (str(row.event_key), str(row.event_id))
    return Delivery(row.id, *cause, row.kind, row.recipient, {}, 1, 0)


def test_who_fails_wakes_the_next_as_well(connection: Connection) -> None:
    owe(connection, "ada")
    owe(connection, "ada")
    (first,) = leased(connection)
    assert take(connection) == []
    leasing.record_not_sent(connection, first, "one", "no such mailbox", delay=None)
    connection.commit()
    assert [d.id for d in leased(connection)] == [first.id + 1]


def test_two_that_end_at_once_wake_the_next(engine: Engine, connection: Connection) -> None:
    """Each sees the other's row before it."""
    for _ in range(3):
        owe(connection, "ada")
    (first,) = leased(connection)
    connection.execute(text("UPDATE deliveries SET due_at = now() WHERE id = 2"))
    connection.commit()
    second = replace(first, id=2)

    def end() -> None:
        with prepared(engine) as other:
            leasing.record_sent(other, [second])
            other.commit()

    leasing.record_sent(connection, [first])  # not yet committed
    thread = threading.Thread(target=end)
    thread.start()
    thread.join(0.3)
    connection.commit()
    thread.join(10)
    assert take(connection) == ["ada"]


def test_who_was_forgotten_is_woken(connection: Connection) -> None:
    """A sender of the version before ended the first, and woke nobody."""
    owe(connection, "ada")
    owe(connection, "ada")
    leased(connection)
    assert take(connection) == []
    connection.execute(text("UPDATE deliveries SET state = 'sent' WHERE id = 1"))
    connection.commit()
    assert take(connection) == []
    leasing.wake_forgotten(connection)
    connection.commit()
    assert take(connection) == ["ada"]


def test_whoever_is_put_behind_is_woken(engine: Engine, connection: Connection) -> None:
    """Also if the first ends while they are being put behind it."""
    owe(connection, "ada")
    (first,) = leased(connection)
    owe(connection, "ada")
    ended = threading.Event()

    def end() -> None:
        with prepared(engine) as other:
            leasing.record_sent(other, [first])
            other.commit()
        ended.set()

    leasing.put_behind(connection)  # not yet committed
    thread = threading.Thread(target=end)
    thread.start()
    assert not ended.wait(0.3)
    connection.commit()
    thread.join(10)
    assert take(connection) == ["ada"]


def test_what_waits_for_a_retry_holds_up_those_behind_it_only(connection: Connection) -> None:
    owe(connection, "ada")
    owe(connection, "ada")
    (first,) = leased(connection)
    leasing.record_not_sent(connection, first, "one", "busy", delay=60)
    connection.commit()
    owe(connection, "bob")
    assert take(connection) == ["bob"]
    assert 55 < (leasing.next_due(connection) or 0) <= 60
    assert [d.id for d in leased(connection, now=later(61))] == [first.id, 3]


def test_a_lease_that_ended_is_anybodys(connection: Connection) -> None:
    owe(connection, "ada")
    (first,) = leased(connection, sender="one")
    assert take(connection, sender="two") == []
    (again,) = leased(connection, sender="two", now=later(LEASE + 1))
    assert (again.id, again.attempts) == (first.id, 2)


def test_what_one_holds_one_does_not_take_again(connection: Connection) -> None:
    owe(connection, "ada")
    (held,) = leased(connection)
    late = later(LEASE + 1)
    assert leasing.take(connection, "one", limit=1, lease=LEASE, holding=[held.id], now=late) == []
    (taken,) = leasing.take(connection, "two", limit=1, lease=LEASE, now=late)
    assert taken.id == held.id


def test_a_stale_sender_changes_nothing_but_what_is_a_fact(connection: Connection) -> None:
    owe(connection, "ada")
    (stale,) = leased(connection, sender="one")
    leased(connection, sender="two", now=later(LEASE + 1))
    leasing.record_not_sent(connection, stale, "one", "refused", delay=None)
    assert ledger.counts(connection)["pending"] == 1
    leasing.record_sent(connection, [stale])
    assert ledger.counts(connection)["sent"] == 1


def test_a_lease_is_renewed_and_given_back(connection: Connection) -> None:
    owe(connection, "ada")
    (held,) = leased(connection)
    leasing.renew(connection, [held.id], "one", LEASE, now=later(20))
    connection.commit()
    assert take(connection, sender="two", now=later(LEASE + 5)) == []
    leasing.renew(connection, [held.id], "one", 0)
    connection.commit()
    assert take(connection, sender="two") == ["ada"]


def test_two_senders_never_get_one_row(engine: Engine, connection: Connection) -> None:
    owe(connection, *(f"user{n}" for n in range(20)))
    with prepared(engine) as other:
        mine = leasing.take(connection, "one", limit=10, lease=LEASE)
        theirs = leasing.take(other, "two", limit=20, lease=LEASE)  # the first ten are locked
        assert len(mine) == len(theirs) == 10
        assert not {d.id for d in mine} & {d.id for d in theirs}


def test_spacing_puts_a_recipient_off_and_takes_the_next_one(connection: Connection) -> None:
    for recipient in ("ada", "ada", "bob"):
        owe(connection, recipient)
    (first,) = leased(connection, limit=1, spacing=1.0)
    leasing.record_sent(connection, [first])
    connection.commit()
    assert [d.recipient for d in leased(connection, limit=2, spacing=1.0)] == ["bob"]
    assert 0 < (leasing.next_due(connection) or 0) <= 1.0
    assert [d.recipient for d in leased(connection, spacing=1.0, now=later(1.01))] == ["ada"]


def test_counts_name_every_state_and_survive_postgres(
    engine: Engine, connection: Connection
) -> None:
    owe(connection, "ada")
    assert ledger_counts(engine).read() == dict.fromkeys(ledger.STATES, 0) | {"pending": 1}
    away = make_engine("postgresql://nobody:x@127.0.0.1:1/none", schema="none")
    assert ledger_counts(away).read() == {}
