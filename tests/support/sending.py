"""What the tests of the sender share: a provider that records, and rows owed to it."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, Engine, text

from rollcall_events.inbox import send_all
from rollcall_events.postgres import Wire
from rollcall_service import leasing, ledger
from rollcall_service.ledger import Delivery, Message, Owed
from rollcall_service.postgres import make_engine
from rollcall_service.schedule import Schedule

SCHEMA = "sender_test"
QUICK = Schedule(first=0.02, longest=0.1)
WITHIN = 10.0  # seconds that a test waits for what must happen


@dataclass
class Provider:
    """Stands where mail or Slack would: `answers` says what it does with each recipient."""

    answers: dict[str, Callable[[Delivery], object]] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)  # "recipient: text"
    tried: list[tuple[str, float]] = field(default_factory=list)  # recipient, when

    def send(self, delivery: Delivery) -> None:
        self.tried.append((delivery.recipient, time.monotonic()))
        if answer := self.answers.get(delivery.recipient):
            answer(delivery)
        self.accepted.append(f"{delivery.recipient}: {delivery.payload['text']}")


@contextmanager
def ledger_at(url: str, schema: str = SCHEMA) -> Iterator[Engine]:
    """An engine of a schema with an empty ledger."""
    engine = make_engine(url, schema=schema, pool_size=20)
    prepare(engine, schema)
    yield engine
    engine.dispose()


def prepare(engine: Engine, schema: str = SCHEMA) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        op = SimpleNamespace(execute=connection.exec_driver_sql)
        ledger.create_v1(op)
        ledger.create_v2(op)
        ledger.create_v3(op)
        ledger.create_v4(op)


@contextmanager
def prepared(engine: Engine) -> Iterator[Connection]:
    """A sender's session, whose transactions are the test's."""
    with Wire(engine, leasing.PREPARE) as wire:
        driver: Any = wire.connection.connection.dbapi_connection
        driver.autocommit = False
        yield wire.connection


def owe(engine: Engine, *messages: str) -> None:
    """Add "recipient: text" messages, each for an event of its own, in one transaction."""
    owed = Owed()
    for message in messages:
        recipient, _, body = message.partition(": ")
        owed.add(cause(), [Message("test", [recipient], {"text": body})])
    store(engine, owed)


def store(engine: Engine, owed: Owed) -> None:
    """In a transaction, as a batch is."""
    with Wire(engine, ledger.PREPARE) as wire:
        send_all(wire, [("BEGIN", ()), *owed.adding(), ("COMMIT", ())])


def cause() -> Any:
    return SimpleNamespace(
        id=str(uuid.uuid4()),
        key=str(uuid.uuid4()),
        position=SimpleNamespace(topic="users", partition=0, offset=0),
        recorded_at=datetime.now(UTC) + timedelta(hours=1),
        imported=False,
        traceparent=None,
        tracestate=None,
    )


def counts(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {state: n for state, n in ledger.counts(connection).items() if n}


def row(engine: Engine, recipient: str) -> Any:
    statement = text("SELECT * FROM deliveries WHERE recipient = :r ORDER BY id LIMIT 1")
    with engine.connect() as connection:
        return connection.execute(statement, {"r": recipient}).one()


def refuse(error: Exception) -> Callable[[Delivery], None]:
    def answer(delivery: Delivery) -> None:
        raise error

    return answer
