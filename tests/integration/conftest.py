"""A real Kafka and a real Postgres for the session, and a database and a topic for each test.

They are this machine's own, or containers where ROLLCALL_TEST_PLATFORM=containers asks for them.
Where Kafka cannot be had, or with ROLLCALL_BROKER=embedded, the embedded broker takes its place.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from integration import databases
from integration.desks import Desk
from sqlalchemy import Engine

from rollcall_events import KafkaSettings, Publisher
from rollcall_events.ids import uuid7
from rollcall_local import embedded_broker, kafka, ports, postgres
from rollcall_local.errors import Unavailable
from rollcall_service.postgres import make_engine
from rollcall_user_management.admission.transaction import connect
from rollcall_user_management.commands.judging import Judge

IN_CONTAINERS = os.environ.get("ROLLCALL_TEST_PLATFORM") == "containers"
DESKS = 8


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The superuser's."""
    if IN_CONTAINERS:
        from integration import containers

        with containers.postgres_url() as url:
            yield url
        return
    with postgres.running(tmp_path_factory.mktemp("postgres"), ports.free_port()) as server:
        yield server.url()


@pytest.fixture(scope="session")
def kafka_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    if IN_CONTAINERS:
        from integration import containers

        with containers.bootstrap_servers() as servers:
            yield KafkaSettings(servers)
        return
    directory = tmp_path_factory.mktemp("broker")
    with ExitStack() as stack:
        yield _kafka_or_embedded(stack, directory)


def _kafka_or_embedded(stack: ExitStack, directory: Path) -> KafkaSettings:
    wanted = os.environ.get("ROLLCALL_BROKER")
    if wanted != "embedded":
        try:
            broker = stack.enter_context(kafka.running(directory, ports.free_port()))
            return KafkaSettings(broker.bootstrap_servers)
        except Unavailable:
            if wanted == "kafka":
                raise
    servers = stack.enter_context(embedded_broker.running(directory, ports.free_port()))
    return KafkaSettings(servers, group_protocol="classic")


@pytest.fixture
def apache_kafka(kafka_settings: KafkaSettings) -> None:
    """For tests of what the embedded broker does not do."""
    if kafka_settings.group_protocol == "classic":
        pytest.skip("needs Apache Kafka: the embedded broker moves partitions slowly")


@pytest.fixture
def topic() -> str:
    """A name of a topic that does not exist yet."""
    return f"users-{uuid7()}"


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """An empty database."""
    with databases.empty(postgres_url) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url, schema="public", pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def store(database_url: str) -> Iterator[Engine]:
    """user-management's database, empty."""
    with databases.of_user_management(database_url) as engine:
        yield engine


@pytest.fixture
def desks(store: Engine) -> Iterator[list[Desk]]:
    publisher = Publisher(KafkaSettings("127.0.0.1:1"), "users", "/services/user-management")
    made = [Desk(connect(store), Judge(publisher, "topic")) for _ in range(DESKS)]
    yield made
    for desk in made:
        desk.wire.close()


@pytest.fixture
def desk(desks: list[Desk]) -> Desk:
    return desks[0]
