"""Apache Kafka: really started, killed, and started again on the same log."""

import os
import signal
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # what a process has mapped
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from rollcall_local import kafka
from rollcall_local.errors import Unavailable
from rollcall_local.ports import free_port


@pytest.fixture
def installed() -> None:
    try:
        kafka.install(os.environ, say=lambda _: None)
    except Unavailable as error:
        pytest.skip(f"needs Apache Kafka: {error}")


def produce(servers: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True})
    failures: list[object] = []
    producer.produce("notes", value, on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(20) == 0
    assert failures == [None]


def consume(servers: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test"})
    try:
        consumer.assign([TopicPartition("notes", 0, 0)])
        message = consumer.poll(20)
        assert message is not None
        assert message.error() is None
        return message.value()
    finally:
        consumer.close()


@pytest.mark.usefixtures("installed")
def test_an_acknowledged_record_is_there_after_a_kill(tmp_path: Path) -> None:
    with kafka.running(tmp_path / "state", free_port()) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        admin.create_topics([NewTopic("notes", 1, 1)])["notes"].result(20)
        cluster = admin.list_topics(timeout=10).cluster_id
        produce(broker.bootstrap_servers, b"kept")
        os.kill(broker.pid, signal.SIGKILL)
    with kafka.running(tmp_path / "state", free_port()) as broker:
        assert consume(broker.bootstrap_servers) == b"kept"
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        assert admin.list_topics(timeout=10).cluster_id == cluster


@pytest.mark.usefixtures("installed")
def test_it_starts_from_an_archive_of_its_classes(tmp_path: Path) -> None:
    archive = kafka.install(os.environ, say=lambda _: None).classes
    with kafka.running(tmp_path / "state", free_port()) as broker:
        mapped = {mapping.path for mapping in psutil.Process(broker.pid).memory_maps()}
        assert str(archive) in mapped
