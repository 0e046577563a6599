"""Held sequences that grow while they run, and handlers that fail for many."""

import threading
from contextlib import suppress
from dataclasses import replace

from integration.parking.cases import (
    PARTITIONS,
    Case,
    consuming,
    counted,
    create,
    handlers_with,
    names,
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


def test_a_record_that_comes_while_the_sequence_runs_waits_for_it(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    with consuming(kafka_settings, case.store, group), case.store.connect() as look:
        key = case.parked("bad", "behind it", cause=ValueError("cannot"))
        # Its handler waits for a lock that the test has; the run has the sequence's meanwhile.
        case.trouble["bad"] = "SELECT pg_advisory_xact_lock(1)"
        look.execute(text("SELECT pg_advisory_lock(1)"))
        run = threading.Thread(target=parking.redrive, args=(case.store, group, key, PARTITIONS))
        run.start()
        eventually(lambda: waiting(case.store) == 1)
        update(case.publisher, key, "meanwhile")
        eventually(lambda: waiting(case.store) == 2)
        look.execute(text("SELECT pg_advisory_unlock(1)"))
        run.join()
        eventually(lambda: names(case.store, key) == ["0", "bad", "behind it", "meanwhile"])
        assert counted(case.store) == (0, 0)


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
