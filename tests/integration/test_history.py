"""Every answer about the past is a fold of the log: a short form of `make history-check`."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from history import record
from history.answering import Queries
from history.checking import check
from history.generator import history
from history.model import Model
from history.publishing import stamped_by_producers
from sqlalchemy import Engine, text
from support.waiting import eventually

from rollcall_events import Consumer, KafkaSettings
from rollcall_events.topic import ensure_topic
from rollcall_user_management.projection.handlers import subscription

SEED, USERS, EVENTS, COMPARISONS = 1, 60, 1_000, 300


@pytest.fixture
def log(kafka_settings: KafkaSettings, topic: str) -> str:
    """The name of a topic with a random history in it."""
    ensure_topic(kafka_settings, topic)
    stamped_by_producers(kafka_settings, topic)
    began = int(1_000 * time.time()) - 3_600_000
    record.append(kafka_settings.producer(), topic, history(SEED, USERS, EVENTS, began).sent)
    return topic


@pytest.fixture
def model(kafka_settings: KafkaSettings, log: str) -> Model:
    return Model(record.read(kafka_settings.bootstrap_servers, log))


@pytest.fixture
def projected(
    kafka_settings: KafkaSettings, store: Engine, log: str, model: Model
) -> Iterator[Engine]:
    group = replace(subscription("user_management_g1"), group=f"group-{log}", topic=log)
    consumer = Consumer(group, kafka_settings, store, batch_size=50)
    consumer.start()
    try:
        eventually(lambda: _entries(store) == len(model.entries))
        yield store
    finally:
        consumer.stop()


def _entries(store: Engine) -> int:
    with store.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM history")).scalar_one())


def test_the_past_is_a_fold_of_the_log(model: Model, projected: Engine) -> None:
    verdict = check(model, Queries(projected), COMPARISONS, SEED)
    assert verdict.differences == []
    assert verdict.comparisons.total() == COMPARISONS
