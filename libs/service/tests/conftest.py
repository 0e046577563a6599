"""A real Postgres for the tests of what lives in it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text
from support.sending import QUICK, SCHEMA, Provider, ledger_at

from rollcall_local import ports
from rollcall_local.postgres import Server, running
from rollcall_service.sender import Sender


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("postgres")
    with running(directory, ports.free_port(), {"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="session")
def shared(postgres: Server) -> Iterator[Engine]:
    """A schema with an empty delivery ledger."""
    with ledger_at(postgres.url()) as engine:
        yield engine


@pytest.fixture
def engine(shared: Engine) -> Engine:
    with shared.begin() as connection:
        connection.execute(text("TRUNCATE deliveries RESTART IDENTITY"))
    return shared


@pytest.fixture
def start(engine: Engine) -> Iterator[Callable[..., Sender]]:
    """Starts senders and stops them at the end."""
    senders: list[Sender] = []

    def starting(provider: Provider, **settings: Any) -> Sender:
        given: dict[str, Any] = {"schema": SCHEMA, "name": "test", "schedule": QUICK} | settings
        sender = Sender(engine, provider.send, **given)
        sender.start()
        senders.append(sender)
        return sender

    yield starting
    for sender in senders:
        sender.stop()
