"""What a service may rely on, the same in memory, on the embedded broker and on Apache Kafka."""

from collections.abc import Iterator

import pytest
from integration.contract.groups import Group, InMemory, OnABroker
from sqlalchemy import Engine, text

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import KafkaSettings, Position
from rollcall_events.ids import uuid7
from rollcall_events.parking_guard import MOST
from rollcall_events.schema import CREATE_DISCARDS_V1, CREATE_V1, CREATE_V2
from rollcall_events.topic import ensure_topic
from rollcall_local import embedded_broker, ports

PLACES = ("memory", "embedded broker", "broker of the tests")


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    directory = tmp_path_factory.mktemp("embedded")
    with embedded_broker.running(directory, ports.free_port()) as servers:
        yield KafkaSettings(servers, group_protocol="classic")


@pytest.fixture(params=PLACES)
def group(request: pytest.FixtureRequest) -> Iterator[Group]:
    """On the broker of the tests that is Apache Kafka, where it can be had (conftest.py)."""
    if request.param == "memory":
        yield InMemory()
        return
    name = "embedded" if request.param == "embedded broker" else "kafka_settings"
    settings: KafkaSettings = request.getfixturevalue(name)
    engine: Engine = request.getfixturevalue("engine")
    topic: str = request.getfixturevalue("topic")
    with engine.begin() as connection:
        for statement in (
            *(*CREATE_V1, *CREATE_V2, *CREATE_DISCARDS_V1),
            "CREATE TABLE seen (n serial PRIMARY KEY, key uuid, name text)",
            "CREATE TABLE rejected (n serial PRIMARY KEY, reason text)",
        ):
            connection.execute(text(statement))
    ensure_topic(settings, topic)
    made = OnABroker(settings, engine, topic)
    made.start()
    yield made
    made.stop()


def created(group: Group, name: str = "0") -> str:
    key = uuid7()
    group.append(group.record(pb.UserCreatedEvent(user_id=key, person=pb.Person(name=name))))
    return key


def updated(group: Group, key: str, *names: str) -> list[Position]:
    events = [pb.UserUpdatedEvent(user_id=key, person=pb.Person(name=name)) for name in names]
    return [group.append(group.record(event)) for event in events]


def deleted(group: Group, key: str) -> None:
    group.append(group.record(pb.UserDeletedEvent(user_id=key)))


def test_each_event_once_and_in_order(group: Group) -> None:
    key = created(group)
    message = pb.UserUpdatedEvent(user_id=key, person=pb.Person(name="1"))
    record = group.record(message)
    group.append(record)
    updated(group, key, "2")
    group.append(record)  # a second copy, late
    other = created(group, "other")
    group.settle()
    assert group.handled(key) == ["0", "1", "2"]
    assert group.handled(other) == ["other"]
    assert group.rejected() == []


def test_what_cannot_follow_is_rejected(group: Group) -> None:
    key = uuid7()
    updated(group, key, "too early")
    group.settle()
    gone = created(group)
    deleted(group, gone)
    updated(group, gone, "too late")
    group.settle()
    assert group.handled(key) == []
    assert group.handled(gone) == ["0", "deleted"]
    assert group.rejected() == ["no such user", "the user was deleted"]


def test_a_key_that_fails_waits_alone_and_comes_back_in_order(group: Group) -> None:
    group.trouble.add("bad")
    key = created(group)
    record = group.record(pb.UserUpdatedEvent(user_id=key, person=pb.Person(name="bad")))
    for _ in range(2):  # a copy of what failed waits behind it
        group.append(record)
    updated(group, key, "behind")
    other = created(group)
    group.settle()
    assert group.parked() == {key: 3}
    assert group.handled(key) == ["0"]
    assert group.handled(other) == ["0"]
    assert group.redrive(key) == 3  # it fails again
    assert group.handled(key) == ["0"]
    group.trouble.clear()
    assert group.redrive(key) == 0
    updated(group, key, "after")
    group.settle()
    assert group.handled(key) == ["0", "bad", "behind", "after"]
    assert group.parked() == {}


def test_a_run_stops_at_the_next_that_fails(group: Group) -> None:
    group.trouble |= {"bad", "worse"}
    key = created(group)
    updated(group, key, "bad", "1", "worse", "2")
    group.settle()
    group.trouble.remove("bad")
    assert group.redrive(key) == 2
    assert group.handled(key) == ["0", "bad", "1"]
    with pytest.raises(KeyError):
        group.redrive(uuid7())


def test_what_is_discarded_is_rejected(group: Group) -> None:
    group.trouble.add("bad")
    key = created(group)
    place, behind = updated(group, key, "bad", "behind")
    group.settle()
    with pytest.raises(KeyError):
        group.discard(key, behind, "another")
    assert group.discard(key, place, "a test") == 0
    assert group.handled(key) == ["0", "behind"]
    assert group.rejected() == ["discarded: a test"]


def test_many_keys_that_fail_stop_the_group_and_one_does_not(group: Group) -> None:
    group.trouble.add("bad")
    hot = created(group)
    updated(group, hot, *["bad"] * (MOST + 5))
    group.settle()
    assert not group.stopped()
    for _ in range(MOST):
        created(group, "bad")
    group.settle()
    assert group.stopped()
    assert len(group.parked()) == MOST
