"""Held sequences that grow while they run, and handlers that fail for many."""

import threading

from integration.parking.cases import (
    PARTITIONS,
    Case,
    consuming,
    counted,
    create,
    names,
    update,
)
from sqlalchemy import text
from support.waiting import eventually

from rollcall_events import (
    KafkaSettings,
    Subscription,
    parking,
)
from rollcall_events.parking_guard import MOST


def test_records_that_come_while_a_sequence_runs_stay_in_order(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    numbers = [str(n) for n in range(1, 400)]
    with consuming(kafka_settings, case.store, group):
        key = case.parked("bad", cause=ValueError("cannot"))
        feeding = threading.Thread(target=update, args=(case.publisher, key, *numbers))
        feeding.start()
        again = 0
        while feeding.is_alive() or counted(case.store) != (0, 0):
            case.trouble.clear()
            try:
                parking.redrive(case.store, group, key, PARTITIONS)
            except parking.NotParked:
                # Fail at whatever comes next, so that it is parked anew.
                waiting = numbers[len(names(case.store, key)) - 2 :][:3] or ["none"]
                case.trouble |= {name: ValueError("cannot") for name in waiting}
                again += feeding.is_alive() and counted(case.store) != (0, 0)
        feeding.join()
        case.trouble.clear()
        eventually(lambda: names(case.store, key) == ["0", "bad", *numbers])


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


def test_one_hot_key_that_fails_stops_nothing(
    kafka_settings: KafkaSettings, case: Case, group: Subscription
) -> None:
    case.trouble["bad"] = ValueError("cannot")
    key = create(case.publisher)
    update(case.publisher, key, *["bad"] * MOST * 2)
    with consuming(kafka_settings, case.store, group) as consumer:
        eventually(lambda: counted(case.store) == (1, MOST * 2))
        other = create(case.publisher)
        eventually(lambda: names(case.store, other) == ["0"])
        assert consumer.status().state == "running"
