"""A real Kafka and a real Postgres for the session, and a database and a topic for each test.

They are this machine's own, or containers where ROLLCALL_TEST_PLATFORM=containers asks for them.
"""

import os
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from rollcall_events import KafkaSettings
from rollcall_events.ids import uuid7
from rollcall_local import kafka, ports, postgres
from rollcall_local.errors import Unavailable
from rollcall_service.postgres import make_engine

IN_CONTAINERS = os.environ.get("ROLLCALL_TEST_PLATFORM") == "containers"


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
    try:
        with kafka.running(tmp_path_factory.mktemp("kafka"), ports.free_port()) as broker:
            yield KafkaSettings(broker.bootstrap_servers)
    except Unavailable as error:
        pytest.skip(f"needs Apache Kafka: {error}")


@pytest.fixture
def topic() -> str:
    """A name of a topic that does not exist yet."""
    return f"users-{uuid7()}"


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """An empty database."""
    name = f"test_{uuid7().replace('-', '')}"
    server = make_engine(postgres_url, schema="public", pool_size=1)
    admin = server.execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(postgres_url).set(database=name)
    yield url.render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url, schema="public", pool_size=10)
    yield engine
    engine.dispose()
