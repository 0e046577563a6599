"""Kafka chooses leaders anew when it starts, and a client may doubt its place in the log then.

librdkafka asks then where the epoch of the last record that it read ends. When it has an earlier
epoch in mind, the answer lies before its place, and it says that the log was cut.
"""

from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Consumer as Client
from confluent_kafka import TopicPartition
from integration.test_consuming import consuming, create, names, publishing, update
from integration.test_consuming import store as store  # the fixture
from sqlalchemy import Engine
from support.reasons import reasons
from support.waiting import eventually

from rollcall_events import KafkaSettings
from rollcall_events import session as session_module
from rollcall_local import kafka
from rollcall_local.ports import free_port

TRIES = 5


class Doubting(Client):
    """Has the first of all epochs in mind, whatever it was told of."""

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        doubted = [TopicPartition(p.topic, p.partition, p.offset, "", 0) for p in partitions]
        super().incremental_assign(doubted)


@pytest.mark.usefixtures("apache_kafka")
def test_an_offset_that_is_in_the_log_is_gone_on_from(
    store: Engine,
    tmp_path: Path,
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    with kafka.running(tmp_path, port) as broker:
        settings = KafkaSettings(broker.bootstrap_servers)
        with publishing(settings, topic) as publisher:
            key = create(publisher)
    with kafka.running(tmp_path, port), publishing(settings, topic) as publisher:
        update(publisher, key, "1")
        with consuming(settings, store, topic):
            eventually(lambda: names(store, key) == ["0", "1"])
    monkeypatch.setattr(session_module, "Client", Doubting)
    # Where Kafka is away for long, the session that was to doubt is over before it is back.
    for number in range(2, 2 + TRIES):
        with ExitStack() as stack:
            with kafka.running(tmp_path, port):
                consumer = stack.enter_context(consuming(settings, store, topic))
                eventually(consumer.ready)
            with kafka.running(tmp_path, port), publishing(settings, topic) as publisher:
                update(publisher, key, str(number))
                eventually(lambda: names(store, key) == [*map(str, range(number + 1))])  # noqa: B023
                stack.close()
        if reasons(caplog, "an offset was doubted"):
            return
    pytest.fail("no offset was doubted")
