"""A question of a moment waits until all that was recorded until then is folded."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from integration.transactions import open_transaction
from sqlalchemy import Engine
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall.users.v1 import queries_pb2 as queries
from rollcall_events import Consumer, KafkaSettings, Publisher
from rollcall_events.ids import uuid7
from rollcall_events.topic import ensure_topic
from rollcall_user_management.generations.store import Generation
from rollcall_user_management.projection.handlers import subscription
from rollcall_user_management.queries import service
from rollcall_user_management.queries.fields import InvalidField
from rollcall_user_management.queries.positions import MomentNotReached, Positions
from rollcall_user_management.queries.service import QueryService

SCHEMA = "user_management_g1"


@pytest.fixture
def consumer(kafka_settings: KafkaSettings, store: Engine) -> Consumer:
    """Not started."""
    ensure_topic(kafka_settings, "users")
    group = replace(subscription(SCHEMA), group=f"moments-{uuid7()}")
    return Consumer(group, kafka_settings, store)


@pytest.fixture
def ask(store: Engine, consumer: Consumer) -> Iterator[Any]:
    positions = Positions(store, SCHEMA, look=consumer.moments.ask)
    positions.start()
    with ThreadPoolExecutor(2) as executor:
        generation = Generation(1, SCHEMA, store, positions)
        queried = QueryService(lambda: generation, executor)

        def asked(moment: datetime) -> list[str]:
            at = Timestamp()
            at.FromDatetime(moment)
            request = queries.ListUsersRequest(at=at, order_by="-created_at", page_size=1)
            return [user.name for user in asyncio.run(queried.answer(request)).users]

        yield asked
    positions.stop()


def test_what_was_acknowledged_before_the_moment_is_in_the_answer(
    kafka_settings: KafkaSettings, consumer: Consumer, ask: Any
) -> None:
    publisher = Publisher(kafka_settings, "users", "/services/test")
    publisher.start()
    consumer.start()
    try:
        eventually(lambda: _is_answered(ask), within=60)  # once what others appended is folded
        for number in range(3):
            person = pb.Person(name=f"N{number}", email=f"{uuid7()}@x.org")
            told = publisher.publish(pb.UserCreatedEvent(user_id=uuid7(), person=person)).result(10)
            assert ask(max(told.recorded_at, datetime.now(UTC))) == [f"N{number}"]
    finally:
        consumer.stop()
        publisher.stop()


@pytest.mark.usefixtures("apache_kafka")
def test_a_moment_in_an_open_transaction_is_not_answered_before_its_end(
    kafka_settings: KafkaSettings, consumer: Consumer, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer.start()
    try:
        eventually(lambda: _is_answered(ask), within=60)
        with open_transaction(kafka_settings, "users", b"nobody") as transaction:
            with monkeypatch.context() as patched:
                patched.setattr(service, "DEADLINE", 2.0)
                with pytest.raises(MomentNotReached):
                    ask(datetime.now(UTC))
            transaction.commit_transaction(10)
        eventually(lambda: _is_answered(ask), within=60)  # behind its mark there is no record
    finally:
        consumer.stop()


def _is_answered(ask: Any) -> bool:
    try:
        ask(datetime.now(UTC))
    except MomentNotReached:
        return False
    return True


def test_a_moment_that_nobody_folds_is_not_answered(
    monkeypatch: pytest.MonkeyPatch, ask: Any
) -> None:
    monkeypatch.setattr(service, "DEADLINE", 0.7)
    with pytest.raises(MomentNotReached):
        ask(datetime.now(UTC))


def test_the_future_may_still_change(ask: Any) -> None:
    with pytest.raises(InvalidField, match="future"):
        ask(datetime.now(UTC) + timedelta(minutes=1))
