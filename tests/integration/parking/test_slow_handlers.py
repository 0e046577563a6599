"""Postgres ends a session that is idle in a transaction: handlers that take so long are found."""

from collections.abc import Callable, Sequence
from threading import Event as Never

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
from sqlalchemy import Engine
from sqlalchemy import event as sqlalchemy_event
from support.waiting import eventually

from rollcall_events import (
    Event,
    KafkaSettings,
    Rejection,
    Statement,
    Subscription,
    parking,
    postgres,
)
from rollcall_events.postgres import Wire

LIMIT = 1.0  # seconds
NEVER = Never()


def computing(seconds: float) -> Callable[[], object]:
    return lambda: NEVER.wait(seconds)


@pytest.fixture(autouse=True)
def short_limit(store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def limit(driver, _):  # type: ignore[no-untyped-def]
        driver.cursor().execute(f"SET idle_in_transaction_session_timeout = '{LIMIT}s'")
        driver.commit()

    sqlalchemy_event.listen(store, "connect", limit)
    store.dispose()
    monkeypatch.setattr(postgres, "_NEAR", 0.8 * LIMIT)


def test_one_that_takes_longer_is_parked_alone(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    with consuming(kafka_settings, case.store, group) as consumer:
        key = case.parked("bad", "behind it", cause=computing(1.5 * LIMIT))
        beside = create(case.publisher, "beside", neighbour(key))
        eventually(lambda: names(case.store, beside) == ["beside"])
        assert names(case.store, key) == ["0"]
        assert only(case.store, case.topic).reason == "IdleInTransactionSessionTimeout"
        eventually(consumer.ready)
    run = parking.redrive(case.store, group, key, PARTITIONS)
    assert (run.failure and run.failure.reason, run.left) == ("IdleInTransactionSessionTimeout", 2)
    case.trouble.clear()
    assert parking.redrive(case.store, group, key, PARTITIONS).left == 0


def test_many_that_take_longer_together_are_handled_in_several_transactions(
    kafka_settings: KafkaSettings, case: Case, topic: str
) -> None:
    """Handlers may only collect, and write at the end: Postgres hears nothing meanwhile."""

    def begin(wire: Wire, events: Sequence[Event]) -> list[Statement]:
        return []

    def collect(event: Event, batch: list[Statement]) -> None:
        NEVER.wait(0.2 * LIMIT)
        batch.append(("INSERT INTO seen (key, name) VALUES (%s, %s)", (event.key, name_of(event))))

    def end(batch: list[Statement], rejections: Sequence[Rejection]) -> Sequence[Statement]:
        return batch

    handlers = {CREATED: collect, UPDATED: collect}
    group = Subscription(f"group-{topic}", "public", topic, handlers, begin=begin, end=end)
    numbers = [str(n) for n in range(1, 13)]
    key = create(case.publisher)
    update(case.publisher, key, *numbers)
    with consuming(kafka_settings, case.store, group):
        eventually(lambda: names(case.store, key) == ["0", *numbers])
    assert counted(case.store) == (0, 0)


def test_one_that_statements_make_slow_may_take_longer(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    slow = f"SELECT pg_sleep({1.5 * LIMIT})"
    case.trouble |= {"slow": slow, "slow too": slow}
    key = create(case.publisher)
    update(case.publisher, key, "slow", "slow too")
    with consuming(kafka_settings, case.store, group) as consumer:
        eventually(lambda: names(case.store, key) == ["0", "slow", "slow too"])
        eventually(lambda: consumer.status().events.get("applied") == 3)
    assert counted(case.store) == (0, 0)


def test_a_process_that_stalls_once_parks_nothing(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    stalls = [1.5 * LIMIT]
    case.trouble["innocent"] = lambda: NEVER.wait(stalls.pop()) if stalls else None
    with consuming(kafka_settings, case.store, group):
        key = create(case.publisher)
        eventually(lambda: names(case.store, key) == ["0"])
        update(case.publisher, key, "innocent")
        eventually(lambda: names(case.store, key) == ["0", "innocent"])
    assert counted(case.store) == (0, 0)


def test_one_that_hangs_outlives_the_session_of_whoever_runs_it(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    def never() -> None:
        while True:
            pass

    deadline = 2 * LIMIT
    with consuming(kafka_settings, case.store, group):
        key = case.parked("bad", "behind it", cause=ValueError("cannot"))
    case.trouble["bad"] = never
    run = parking.redrive(case.store, group, key, PARTITIONS, handler_deadline=deadline)
    assert (run.failure and run.failure.reason, run.left) == ("HandlerTimedOut", 2)
    case.trouble["behind it"] = never
    place = only(case.store, case.topic).position
    run = parking.discard(
        case.store, group, key, place, "a test", PARTITIONS, handler_deadline=deadline
    )
    assert (run.failure and run.failure.reason, run.left) == ("HandlerTimedOut", 1)
