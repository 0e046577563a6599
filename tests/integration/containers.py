"""Postgres and Kafka as containers of the official images (make test-containers)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer

from rollcall_local import ports

POSTGRES = "postgres:17"
KAFKA = "apache/kafka:4.1.0"


@contextmanager
def postgres_url() -> Iterator[str]:
    with PostgresContainer(POSTGRES, driver=None) as container:
        yield container.get_connection_url()


@contextmanager
def bootstrap_servers() -> Iterator[str]:
    """A broker that advertises the host's port, which has to be known before it starts."""
    port = ports.free_port()
    container = DockerContainer(KAFKA).with_bind_ports(port, port)
    for name, value in _kafka(port).items():
        container = container.with_env(name, value)
    with container:
        yield f"127.0.0.1:{port}"


def _kafka(port: int) -> Mapping[str, str]:
    """The whole KRaft set: any variable replaces all of the image's defaults."""
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
