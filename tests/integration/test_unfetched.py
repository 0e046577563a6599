"""A client that is silent about a partition is replaced, and one that has all of it is not."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import Consumer as Client
from confluent_kafka import TopicPartition
from integration.test_consuming import consuming, create, names, update
from integration.test_consuming import publisher as publisher  # the fixtures
from integration.test_consuming import store as store
from integration.transactions import in_a_transaction
from sqlalchemy import Engine
from support.reasons import reasons
from support.waiting import eventually

from rollcall_events import Consumer, KafkaSettings, Publisher, unfetched
from rollcall_events import session as session_module
from rollcall_events.unfetched import Unfetched

LOOKS = 0.1  # seconds between them
STANDING = 1.0  # seconds
UNFETCHED = "the client does not bring"


@dataclass(frozen=True)
class Settings(KafkaSettings):
    """Of clients that are looked at all the time, and do not say themselves that a log ends."""

    def consumer(self, group: str) -> dict[str, Any]:
        looked_at = {"statistics.interval.ms": int(LOOKS * 1_000), "enable.partition.eof": False}
        return super().consumer(group) | looked_at


@pytest.fixture
def settings(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(unfetched, "STANDING", STANDING)
    return Settings(kafka_settings.bootstrap_servers, group_protocol=kafka_settings.group_protocol)


class Deaf(Client):
    """Fetches nothing, and says nothing of it."""

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.pause(partitions)


def test_what_a_client_does_not_bring_another_does(
    settings: Settings,
    store: Engine,
    topic: str,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = create(publisher)
    clients = [Client, Deaf]
    monkeypatch.setattr(
        session_module, "Client", lambda *given, **named: _next_of(clients)(*given, **named)
    )
    with consuming(settings, store, topic) as consumer:
        eventually(consumer.ready)
        eventually(lambda: consumer.status().lag_records == 1)  # it never heard of it by itself
        assert names(store, key) == []
        eventually(lambda: names(store, key) == ["0"])
        update(publisher, key, "1")
        eventually(lambda: names(store, key) == ["0", "1"])
    assert reasons(caplog, UNFETCHED)


def _next_of(clients: list[type[Client]]) -> type[Client]:
    return clients.pop() if len(clients) > 1 else clients[0]


@pytest.mark.usefixtures("apache_kafka")
def test_the_mark_of_a_transaction_is_no_record_that_is_missing(
    settings: Settings,
    store: Engine,
    topic: str,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = create(publisher)
    in_a_transaction(settings, topic)  # the last of the log
    looked: list[float] = []
    look = Unfetched.look

    def noted(
        self: Unfetched, next_: Mapping[int, int], ends: Mapping[int, int], now: float
    ) -> Any:
        looked.append(time.monotonic())
        return look(self, next_, ends, now)

    def stays_ready(consumer: Consumer) -> None:
        eventually(consumer.ready)
        since = time.monotonic()
        eventually(lambda: bool(looked) and looked[-1] > since + 2 * STANDING)
        assert consumer.ready()

    monkeypatch.setattr(Unfetched, "look", noted)
    with consuming(settings, store, topic) as consumer:
        eventually(lambda: came_to(consumer) == (1, 1))
        stays_ready(consumer)
    with consuming(settings, store, topic) as consumer:  # which has nothing to fetch
        stays_ready(consumer)
        update(publisher, key, "1")
        eventually(lambda: names(store, key) == ["0", "1"])
    assert not reasons(caplog, UNFETCHED)


def came_to(consumer: Consumer) -> tuple[int, int]:
    events = consumer.status().events
    return events.get("applied", 0), events.get("rejected", 0)
