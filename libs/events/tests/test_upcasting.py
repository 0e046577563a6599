"""Events of older types, from golden files that stay for ever: read as what they mean today."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from rollcall.users.v0 import events_pb2 as v0
from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import EVENT_TYPES, Event, Record, Subscription
from rollcall_events.codec import Malformed, RawRecord, decode
from rollcall_events.memory import MemoryGroup, MemoryTopic
from rollcall_events.partitioner import partition_of
from rollcall_events.types import type_of
from rollcall_events.upcasting import UPCASTERS, present_message

GOLDEN = Path(__file__).parent / "golden"
OLD = sorted(f for f in GOLDEN.glob("v*/*.json"))
USER = "01890a5d-ac96-774b-bcce-b302099a8057"
CREATED = "rollcall.users.v1.UserCreatedEvent"

# Of each golden file: the type that it is read as, and what that says.
MEANING: dict[str, tuple[str, dict[str, Any]]] = {
    "v0/UserRegisteredEvent": (
        CREATED,
        {"user_id": USER, "person": {"email": "ada@example.com", "name": "Ada Lovelace"}},
    ),
}


def record(file: Path) -> Record:
    golden = json.loads(file.read_text())
    headers = tuple((name, value.encode()) for name, value in golden["headers"].items())
    return Record("users", golden["key"].encode(), bytes.fromhex(golden["value"]), headers)


def raw(given: Record, value: bytes | None = None) -> RawRecord:
    partition = partition_of(given.key, 50)
    body = given.value if value is None else value
    return RawRecord("users", partition, 5, given.key, body, given.headers, 1_795_000_000_123)


def name(file: Path) -> str:
    return file.relative_to(GOLDEN).with_suffix("").as_posix()


def test_every_older_type_has_a_golden_file_and_a_meaning() -> None:
    assert {f"rollcall.users.{name(file).replace('/', '.')}" for file in OLD} == set(UPCASTERS)
    assert {name(file) for file in OLD} == set(MEANING)


@pytest.mark.parametrize("file", OLD, ids=name)
def test_a_golden_file_is_read_as_its_present_event(file: Path) -> None:
    read = decode(raw(record(file)), 50)
    type_, said = MEANING[name(file)]
    assert read.type == type_
    assert MessageToDict(read.message, preserving_proto_field_name=True) == said
    headers = {n: v.decode() for n, v in record(file).headers}
    assert (read.key, read.id) == (USER, headers["ce_id"])  # as it was: it is one event
    assert (read.position.offset, read.actor) == (5, headers["ce_actor"])


@pytest.mark.parametrize("file", OLD, ids=name)
def test_what_is_wrong_in_an_older_event_is_refused_as_ever(file: Path) -> None:
    another = v0.UserRegisteredEvent(user_id=USER.replace("57", "58")).SerializeToString()
    nul = v0.UserRegisteredEvent(user_id=USER, name="a\0b").SerializeToString()
    for value in (b"\xff\xff", another, nul):
        with pytest.raises(Malformed):
            decode(raw(record(file), value), 50)


def test_a_type_and_its_present_one_have_one_rule_of_life() -> None:
    for upcaster in UPCASTERS.values():
        old, new = upcaster.old, type_of(upcaster.turn(upcaster.old.message()))
        assert old.name not in EVENT_TYPES
        assert (old.lifecycle, old.collection, old.versioned) == (
            new.lifecycle,
            new.collection,
            new.versioned,
        )


def test_an_older_type_is_not_published() -> None:
    with pytest.raises(KeyError):
        MemoryTopic().publish(v0.UserRegisteredEvent(user_id=USER))


def test_a_stored_value_is_read_as_what_it_means_today() -> None:
    value = v0.UserRegisteredEvent(user_id=USER, name="Ada").SerializeToString()
    read = present_message("rollcall.users.v0.UserRegisteredEvent", value)
    assert read == pb.UserCreatedEvent(user_id=USER, person=pb.Person(email="", name="Ada"))


def group(topic: MemoryTopic, seen: list[str], trouble: list[str]) -> MemoryGroup[list[str]]:
    def note(event: Event, names: list[str]) -> None:
        if trouble:
            raise ValueError(trouble)
        names.append(event.message.person.name)  # type: ignore[attr-defined]

    return MemoryGroup(topic, Subscription("g", "", "users", {CREATED: note}), seen)


def test_a_group_handles_it_once_and_rejects_a_second_creation() -> None:
    topic, [old] = MemoryTopic(), [record(file) for file in OLD]
    one = group(topic, [], [])
    topic.append(old)
    topic.append(old)
    topic.publish(pb.UserCreatedEvent(user_id=USER, person=pb.Person(name="Another")))
    one.run()
    assert one.state == ["Ada Lovelace"]
    assert (one.outcome.applied, one.outcome.duplicates, one.outcome.rejected) == (1, 1, 1)


def test_one_that_was_parked_is_handled_when_it_is_run_again() -> None:
    topic, trouble = MemoryTopic(), ["trouble"]
    one = group(topic, [], trouble)
    topic.append(record(OLD[0]))
    one.run()
    assert list(one.parked) == [USER]
    trouble.clear()
    assert one.redrive(USER) == 0
    assert one.state == ["Ada Lovelace"]
