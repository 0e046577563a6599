"""Records that cannot be handled stand aside with what follows them, and come back in order."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from integration.parking.cases import (
    CREATED,
    PARTITIONS,
    UPDATED,
    Case,
    consuming,
    counted,
    create,
    name_of,
    names,
    neighbour,
    only,
    update,
)
from sqlalchemy import text
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import (
    EVENT_TYPES,
    Consumer,
    Event,
    Handler,
    KafkaSettings,
    Position,
    Publisher,
    Rejection,
    Statement,
    Subscription,
    parking,
)
from rollcall_events.postgres import Wire

CAUSES: dict[str, Exception | str] = {
    "raises": ValueError("cannot"),
    "breaks the transaction": "SELECT 1 / 0",
    "takes too long": "SET statement_timeout = '50ms'; SELECT pg_sleep(5)",
}


@pytest.mark.parametrize("cause", CAUSES.values(), ids=list(CAUSES))
def test_a_record_that_cannot_be_handled_holds_up_its_key_alone(
    kafka_settings: KafkaSettings, case: Case, group: Subscription, cause: Exception | str
) -> None:
    with consuming(kafka_settings, case.store, group) as consumer:
        key = case.parked("bad", "behind it", cause=cause)
        beside = create(case.publisher, "beside", neighbour(key))
        eventually(lambda: names(case.store, beside) == ["beside"], within=1)
        assert names(case.store, key) == ["0"]
        eventually(consumer.ready)
        found = only(case.store, case.topic)
        assert (found.key, found.position.offset, found.type, found.held) == (key, 1, UPDATED, 1)
        assert found.reason in found.stack
        case.trouble.clear()
        run = parking.redrive(case.store, group, key, PARTITIONS)
        assert (run.left, run.outcome.applied) == (0, 2)
        update(case.publisher, key, "after")
        eventually(lambda: names(case.store, key) == ["0", "bad", "behind it", "after"])
        assert counted(case.store) == (0, 0)
        eventually(lambda: consumer.status().events.get("parked") == 1)
        assert consumer.status().events["held"] == 1


def test_what_fails_in_the_writing_of_many_is_found_by_halving(
    kafka_settings: KafkaSettings, case: Case, topic: str
) -> None:
    """Handlers may only collect, and write at the end: no error names its record then."""

    def begin(wire: Wire, events: Sequence[Event]) -> list[Event]:
        return []

    def collect(event: Event, batch: list[Event]) -> None:
        batch.append(event)

    def end(batch: list[Event], rejections: Sequence[Rejection]) -> Sequence[Statement]:
        bad = any(name_of(event) in case.trouble for event in batch)
        written: list[Statement] = [
            ("INSERT INTO seen (key, name) VALUES (%s, %s)", (event.key, name_of(event)))
            for event in batch
        ]
        return [*written, ("SELECT 1 / 0", ())] if bad else written

    group = Subscription(
        group=f"group-{topic}",
        schema="public",
        topic=topic,
        handlers={CREATED: collect, UPDATED: collect},
        begin=begin,
        end=end,
    )
    case.trouble |= {"bad": "", "worse": ""}
    keys = [create(case.publisher) for _ in range(10)]
    update(case.publisher, keys[3], "1", "bad", "2", "worse", "3")
    with consuming(kafka_settings, case.store, group):
        eventually(lambda: counted(case.store) == (1, 4))
        eventually(lambda: all(names(case.store, key) for key in keys))
        del case.trouble["bad"]
        run = parking.redrive(case.store, group, keys[3], PARTITIONS)
        assert (run.outcome.applied, run.left) == (2, 2)
        assert names(case.store, keys[3]) == ["0", "1", "bad", "2"]
        assert only(case.store, topic).held == 1
        case.trouble.clear()
        assert parking.redrive(case.store, group, keys[3], PARTITIONS).left == 0
        assert names(case.store, keys[3]) == ["0", "1", "bad", "2", "worse", "3"]


def test_a_handler_that_never_returns_is_interrupted(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    def never() -> None:
        while True:
            pass

    consumer = Consumer(group, kafka_settings, case.store, handler_deadline=0.5)
    consumer.start()
    key = case.parked("bad", "behind it", cause=never)
    other = create(case.publisher)
    eventually(lambda: names(case.store, other) == ["0"])
    assert only(case.store, case.topic).reason == "HandlerTimedOut"
    consumer.stop()
    run = parking.redrive(case.store, group, key, PARTITIONS, handler_deadline=0.5)
    assert (run.failure and run.failure.reason, run.left) == ("HandlerTimedOut", 2)
    case.trouble["behind it"] = never
    place = only(case.store, case.topic).position
    run = parking.discard(case.store, group, key, place, "a test", PARTITIONS, handler_deadline=0.5)
    assert (run.failure and run.failure.reason, run.left) == ("HandlerTimedOut", 1)
    case.trouble.clear()
    assert parking.redrive(case.store, group, key, PARTITIONS).left == 0


def test_a_run_that_fails_again_keeps_the_sequence_and_says_how_often(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    with consuming(kafka_settings, case.store, group):
        key = case.parked("bad", "behind it", cause=ValueError("cannot"))
        before = only(case.store, case.topic)
        run = parking.redrive(case.store, group, key, PARTITIONS)
        assert run.left == 2
        assert run.failure is not None
        assert run.failure.reason == "ValueError"
        after = only(case.store, case.topic)
        assert (before.attempts, after.attempts) == (1, 2)
        assert (before.parked_at, before.position) == (after.parked_at, after.position)
        assert names(case.store, key) == ["0"]


def test_a_dry_run_tells_what_would_come_of_it(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    with consuming(kafka_settings, case.store, group):
        key = case.parked("bad", "behind it", cause=ValueError("cannot"))
        case.trouble.clear()
        run = parking.redrive(case.store, group, key, PARTITIONS, dry_run=True)
        assert (run.left, run.outcome.applied) == (0, 2)
        assert counted(case.store) == (1, 2)
        assert names(case.store, key) == ["0"]


def test_a_discarded_record_is_rejected_and_the_rest_goes_on(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    with consuming(kafka_settings, case.store, group):
        key = case.parked("bad", "behind it", cause=ValueError("cannot"))
        place = only(case.store, case.topic).position
        wrong = Position(place.topic, place.partition, place.offset + 1)
        with pytest.raises(parking.NotParked):
            parking.discard(case.store, group, key, wrong, "not this one", PARTITIONS)
        run = parking.discard(case.store, group, key, place, "a test", PARTITIONS)
        assert (run.left, run.outcome.rejected, run.outcome.applied) == (0, 1, 1)
        assert names(case.store, key) == ["0", "behind it"]
        with case.store.connect() as connection:
            reasons = list(connection.execute(text("SELECT reason FROM rejected")).scalars())
        assert reasons == ["discarded: a test"]
        with pytest.raises(parking.NotParked):
            parking.redrive(case.store, group, key, PARTITIONS)
    # Whoever reads the log anew meets the same decision.
    with case.store.begin() as connection:
        connection.execute(text("TRUNCATE offsets, inbox, aggregates, seen"))
    with consuming(kafka_settings, case.store, group):
        eventually(lambda: names(case.store, key) == ["0", "behind it"])
        assert counted(case.store) == (0, 0)


def test_a_type_that_only_a_later_version_knows_waits_for_it(
    kafka_settings: KafkaSettings,
    case: Case,
    handlers: Mapping[str, Handler],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner = Subscription(
        group=f"owner-{case.topic}",
        schema="public",
        topic=case.topic,
        handlers=handlers,
        owner=True,
    )
    known: Any = EVENT_TYPES
    with consuming(kafka_settings, case.store, owner):
        key = create(case.publisher)
        with monkeypatch.context() as older:
            older.delitem(known, UPDATED)
            record = _updated(case.publisher, key, "unknown", older, known)
            case.publisher.append(record).result(10)
            case.publisher.append(record).result(10)  # a copy waits behind it
            eventually(lambda: counted(case.store) == (1, 2))
        assert "UserUpdatedEvent" in only(case.store, case.topic).reason
        run = parking.redrive(case.store, owner, key, PARTITIONS)
        assert (run.outcome.applied, run.outcome.duplicates, run.left) == (1, 1, 0)
        assert names(case.store, key) == ["0", "unknown"]


def _updated(
    publisher: Publisher, key: str, name: str, older: pytest.MonkeyPatch, known: Any
) -> Any:
    """A record made by a version that knows the type."""
    older.undo()
    message = pb.UserUpdatedEvent(user_id=key, person=pb.Person(name=name))
    record = publisher.record(publisher.event(message))
    older.delitem(known, UPDATED)
    return record
