"""Held sequences that grow while they run, and handlers that fail for many."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from integration.parking.cases import (
    PARTITIONS,
    Case,
    consuming,
    counted,
    create,
    handlers_with,
    names,
    neighbour,
    only,
    update,
)
from sqlalchemy import Engine, text
from support.waiting import eventually

from rollcall_events import (
    KafkaSettings,
    Subscription,
    parking,
)
from rollcall_events.parking_guard import MOST


@contextmanager
def running(case: Case, group: Subscription, key: str) -> Iterator[Future[parking.Run]]:
    """Run the sequence. Its first handler waits as long as this lasts."""
    case.trouble["bad"] = "SELECT pg_advisory_xact_lock(1)"
    with case.store.connect() as look, ThreadPoolExecutor() as pool:
        look.execute(text("SELECT pg_advisory_lock(1)"))
        try:
            run = pool.submit(parking.redrive, case.store, group, key, PARTITIONS)
            eventually(lambda: waiting(case.store) == 1)
            yield run
        finally:
            look.execute(text("SELECT pg_advisory_unlock(1)"))


def test_a_record_that_comes_while_the_sequence_runs_is_run_last(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    with consuming(kafka_settings, case.store, group):
        key = case.parked("bad", "behind it", cause=ValueError("cannot"))
        with running(case, group, key) as run:
            update(case.publisher, key, "meanwhile", "and this")
            eventually(lambda: counted(case.store) == (1, 4))
        assert (run.result().left, run.result().outcome.applied) == (0, 4)
        update(case.publisher, key, "after")
        everything = ["0", "bad", "behind it", "meanwhile", "and this", "after"]
        eventually(lambda: names(case.store, key) == everything)
        assert counted(case.store) == (0, 0)


def test_one_that_comes_meanwhile_and_fails_stays_alone(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    with consuming(kafka_settings, case.store, group):
        key = case.parked("bad", "behind it", cause=ValueError("cannot"))
        case.trouble["meanwhile"] = ValueError("cannot either")
        with running(case, group, key) as run:
            update(case.publisher, key, "meanwhile", "behind that")
            eventually(lambda: counted(case.store) == (1, 4))
        assert (run.result().left, run.result().outcome.applied) == (2, 2)
        assert names(case.store, key) == ["0", "bad", "behind it"]
        found = only(case.store, case.topic)
        assert (found.position.offset, found.reason, found.held) == (3, "ValueError", 1)
        case.trouble.clear()
        assert parking.redrive(case.store, group, key, PARTITIONS).left == 0
        assert names(case.store, key)[3:] == ["meanwhile", "behind that"]


def test_a_sequence_that_runs_holds_up_nobody(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    with consuming(kafka_settings, case.store, group) as consumer:
        key = case.parked("bad", "behind it", cause=ValueError("cannot"))
        with running(case, group, key):
            update(case.publisher, key, "meanwhile")
            beside = create(case.publisher, "beside", neighbour(key))
            eventually(lambda: names(case.store, beside) == ["beside"], within=2)
            assert waiting(case.store) == 1
            eventually(consumer.ready)


def test_two_runs_of_a_sequence_wait_for_each_other(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    with consuming(kafka_settings, case.store, group), ThreadPoolExecutor() as pool:
        key = case.parked("bad", "behind it", cause=ValueError("cannot"))
        with running(case, group, key) as run:
            other = pool.submit(parking.redrive, case.store, group, key, PARTITIONS)
            eventually(lambda: waiting(case.store) == 2)
        assert run.result().left == 0
        with pytest.raises(parking.NotParked):
            other.result()
        assert names(case.store, key) == ["0", "bad", "behind it"]


def waiting(store: Engine) -> int:
    """How many sessions wait for a lock."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with store.connect() as connection:
        return int(connection.execute(text(statement)).scalar_one())


def test_a_sequence_that_is_run_again_and_again_while_it_grows_stays_in_order(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    """The consumer fails at every 40th; whoever runs what it holds is mended already."""
    numbers = [str(n) for n in range(1, 400)]
    case.trouble |= {n: ValueError("cannot") for n in numbers[::40]}
    mended = replace(group, handlers=handlers_with({}))
    runs = 0
    with consuming(kafka_settings, case.store, group):
        key = case.parked("bad", cause=ValueError("cannot"))
        feeding = threading.Thread(target=update, args=(case.publisher, key, *numbers))
        feeding.start()
        while names(case.store, key) != ["0", "bad", *numbers]:
            with suppress(parking.NotParked):
                runs += not parking.redrive(case.store, mended, key, PARTITIONS).left
            assert feeding.is_alive() or runs < 1000
        feeding.join()
    assert runs > 1


def test_many_keys_that_fail_are_a_bad_deploy(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    case.trouble["bad"] = ValueError("cannot")
    for _ in range(MOST * 2):
        create(case.publisher, "bad")
    with consuming(kafka_settings, case.store, group) as consumer:
        eventually(lambda: consumer.status().state.startswith("stopped: more than 20 keys"))
        assert "ValueError" in consumer.status().state
        assert counted(case.store) == (MOST, MOST)
        assert consumer.healthy()
        assert not consumer.ready()
    # Mended, it goes on where it stopped, and what was parked is run.
    case.trouble.clear()
    with consuming(kafka_settings, case.store, group):
        with case.store.connect() as connection:
            keys = [s.key for s in parking.sequences(connection, case.topic, 100)]
        assert [parking.redrive(case.store, group, k, PARTITIONS).left for k in keys] == [0] * MOST
        with case.store.connect() as connection:
            seen = text("SELECT count(*) FROM seen")
            eventually(lambda: connection.execute(seen).scalar() == MOST * 2)
