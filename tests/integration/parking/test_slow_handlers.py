"""Postgres ends a session that is idle in a transaction: handlers that take so long are found."""

from collections.abc import Sequence
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
from sqlalchemy import Engine, text
from sqlalchemy import event as sqlalchemy_event
from support.waiting import eventually

from rollcall_events import (
    Event,
    KafkaSettings,
    Rejection,
    Statement,
    Subscription,
    inbox,
    parking,
    postgres,
)
from rollcall_events.postgres import Wire

LIMIT = 1.0  # seconds
NEVER = Never()


@pytest.fixture(autouse=True)
def short_limit(store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def limit(driver, _):  # type: ignore[no-untyped-def]
        driver.cursor().execute(f"SET idle_in_transaction_session_timeout = '{LIMIT}s'")
        driver.commit()

    sqlalchemy_event.listen(store, "connect", limit)
    store.dispose()
    monkeypatch.setattr(postgres, "_NEAR", 0.8 * LIMIT)
    monkeypatch.setattr(postgres, "_SHORT", 0.1 * LIMIT)


def test_one_that_takes_longer_is_parked_alone(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    tries: list[object] = []

    def slow() -> None:
        tries.append(NEVER.wait(1.5 * LIMIT))

    with consuming(kafka_settings, case.store, group) as consumer:
        key = case.parked("bad", "behind it", cause=slow)
        assert len(tries) == 2  # the second in case that it was only this process that stood still
        beside = create(case.publisher, "beside", neighbour(key))
        eventually(lambda: names(case.store, beside) == ["beside"])
        assert names(case.store, key) == ["0"]
        assert only(case.store, case.topic).reason == "IdleInTransactionSessionTimeout"
        eventually(consumer.ready)
    run = parking.redrive(case.store, group, key, PARTITIONS)
    assert (run.failure and run.failure.reason, run.left) == ("IdleInTransactionSessionTimeout", 2)
    case.trouble.clear()
    assert parking.redrive(case.store, group, key, PARTITIONS).left == 0


@pytest.fixture
def failing() -> set[str]:
    return set()


@pytest.fixture
def collecting(topic: str, failing: set[str]) -> Subscription:
    """Handlers that only collect, slowly, and write at the end: Postgres hears nothing meanwhile.
    One fails while its name is in the set `failing`."""

    def begin(wire: Wire, events: Sequence[Event]) -> list[Statement]:
        return []

    def collect(event: Event, batch: list[Statement]) -> None:
        NEVER.wait(0.2 * LIMIT)
        if name_of(event) in failing:
            raise ValueError(name_of(event))
        batch.append(("INSERT INTO seen (key, name) VALUES (%s, %s)", (event.key, name_of(event))))

    def end(batch: list[Statement], rejections: Sequence[Rejection]) -> Sequence[Statement]:
        return batch

    handlers = {CREATED: collect, UPDATED: collect}
    return Subscription(f"group-{topic}", "public", topic, handlers, begin=begin, end=end)


NUMBERS = [str(n) for n in range(1, 13)]


def test_many_that_take_longer_together_do_not_take_too_long(
    kafka_settings: KafkaSettings, case: Case, collecting: Subscription
) -> None:
    key = create(case.publisher)
    update(case.publisher, key, *NUMBERS)
    with consuming(kafka_settings, case.store, collecting):
        eventually(lambda: names(case.store, key) == ["0", *NUMBERS])
    assert counted(case.store) == (0, 0)


def test_what_takes_very_long_together_is_handled_in_several_transactions(
    kafka_settings: KafkaSettings,
    case: Case,
    collecting: Subscription,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "TOGETHER", LIMIT)
    key = create(case.publisher)
    update(case.publisher, key, *NUMBERS)
    with consuming(kafka_settings, case.store, collecting):
        eventually(lambda: names(case.store, key) == ["0", *NUMBERS])
    with case.store.connect() as connection:
        transactions = connection.execute(
            text("SELECT count(DISTINCT xmin::text) FROM seen")
        ).scalar()
    assert (transactions or 0) > 1
    assert counted(case.store) == (0, 0)


def test_nor_do_they_when_they_are_run_again(
    kafka_settings: KafkaSettings,
    case: Case,
    collecting: Subscription,
    failing: set[str],
) -> None:
    failing.add(NUMBERS[0])
    key = create(case.publisher)
    update(case.publisher, key, *NUMBERS)
    with consuming(kafka_settings, case.store, collecting):
        eventually(lambda: counted(case.store) == (1, len(NUMBERS)))
    failing.clear()
    assert parking.redrive(case.store, collecting, key, PARTITIONS).left == 0
    assert names(case.store, key) == ["0", *NUMBERS]


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
