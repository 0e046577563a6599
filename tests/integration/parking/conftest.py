"""A group whose handlers can be made to fail."""

from collections.abc import Iterator, Mapping

import pytest
from integration.parking.cases import Case, Trouble, handlers_with, keep_rejections
from sqlalchemy import Engine, text

from rollcall_events import (
    Handler,
    KafkaSettings,
    Publisher,
    Subscription,
)
from rollcall_events.schema import CREATE_DISCARDS_V1, CREATE_V1, CREATE_V2
from rollcall_events.topic import ensure_topic


@pytest.fixture
def trouble() -> Trouble:
    return {}


@pytest.fixture
def handlers(trouble: Trouble) -> Mapping[str, Handler]:
    return handlers_with(trouble)


@pytest.fixture
def group(topic: str, handlers: Mapping[str, Handler]) -> Subscription:
    return Subscription(
        group=f"group-{topic}", schema="public", topic=topic, handlers=handlers, end=keep_rejections
    )


@pytest.fixture
def store(engine: Engine) -> Engine:
    with engine.begin() as connection:
        for statement in (
            *(*CREATE_V1, *CREATE_V2, *CREATE_DISCARDS_V1),
            "CREATE TABLE seen (n serial PRIMARY KEY, key uuid, name text)",
            "CREATE TABLE rejected (reason text)",
        ):
            connection.execute(text(statement))
    return engine


@pytest.fixture
def publisher(kafka_settings: KafkaSettings, topic: str) -> Iterator[Publisher]:
    ensure_topic(kafka_settings, topic)
    publisher = Publisher(kafka_settings, topic, "/services/test")
    publisher.start()
    yield publisher
    publisher.stop()


@pytest.fixture
def case(store: Engine, topic: str, publisher: Publisher, trouble: Trouble) -> Case:
    return Case(store, topic, publisher, trouble)
