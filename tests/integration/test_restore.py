"""What Postgres must keep: one that may hold less than the log was told of admits nothing."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from integration.transactions import in_a_transaction
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from support.own_postgres import OwnPostgres
from support.replica import ON_ITS_WAY, Log, read_store, running
from support.waiting import eventually

from rollcall_events import (
    KafkaSettings,
    Refused,
    Topic,
    TopicUnavailable,
    committed_offsets,
    log_ends,
    session,
)
from rollcall_events.postgres import is_store_trouble
from rollcall_events.topic import ensure_topic
from rollcall_service.postgres import make_engine
from rollcall_user_management.admission import guard as guard_module
from rollcall_user_management.admission.origin import INCARNATION


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnPostgres]:
    server = OwnPostgres(tmp_path / "own")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def store(database_url: str) -> Iterator[Engine]:
    with read_store(database_url) as engine:
        yield engine


@pytest.fixture
def log(kafka_settings: KafkaSettings, topic: str) -> Iterator[Log]:
    log = Log(kafka_settings, topic)
    yield log
    log.close()


def one(engine: Engine, statement: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(statement)).one()


def execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def origin(engine: Engine) -> Any:
    return one(engine, "SELECT * FROM origin")


def stored(engine: Engine) -> int:
    return int(one(engine, "SELECT coalesce(sum(next_offset), 0) FROM offsets")[0])


def users(engine: Engine) -> int:
    return int(one(engine, "SELECT count(*) FROM users")[0])


def incarnation(engine: Engine) -> str:
    return str(one(engine, f"SELECT {INCARNATION}")[0])


def test_a_restored_postgres_is_held_until_the_projection_has_caught_up(
    own: OwnPostgres, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, guard_module.__name__)
    with read_store(own.url) as store, log.replica(store) as (guard, _):
        log.publish(users=5)
        eventually(lambda: users(store) == 5)
        own.restart(own.save)
        eventually(lambda: guard.passes(incarnation(store)))
        assert guard.held() is None
        log.publish(users=7)
        eventually(lambda: users(store) == 12 and log.told() == 12)

        own.restart(own.put_back)

        eventually(guard.held)
        assert guard.held() == "Postgres was restored: it lacks 7 records of which Kafka was told"
        assert guard.passes(incarnation(store))
        eventually(lambda: guard.held() is None)
        assert origin(store).held_since is None
        assert users(store) == 12
    said = [(r.getMessage(), r.levelname) for r in caplog.records if "admitted" in r.getMessage()]
    assert said == [
        ("nothing is admitted", "CRITICAL"),
        ("commands are admitted again", "WARNING"),
    ]


def test_a_restarted_postgres_is_verified_and_not_held(own: OwnPostgres, log: Log) -> None:
    with read_store(own.url) as store, log.replica(store) as (guard, _):
        log.publish(users=3)
        eventually(lambda: users(store) == 3)
        idle = log.guard(store)  # its thread is not started
        idle.verify(log.topic)
        before = incarnation(store)
        assert guard.passes(before)
        assert idle.passes(before)
        own.restart()
        eventually(lambda: guard.passes(incarnation(store)))
        assert not guard.passes(before)
        assert not idle.passes(incarnation(store))
        assert guard.held() is None
        assert origin(store).held_since is None


def test_a_fail_over_is_held(own: OwnPostgres, log: Log) -> None:
    with read_store(own.url) as store:
        guard = log.guard(store)
        guard.verify(log.topic)
        own.stop()
        own.start_as_standby()
        with pytest.raises(DBAPIError) as refusal:
            guard.verify(log.topic)
        assert is_store_trouble(refusal.value)
        own.promote()
        guard.verify(log.topic)
        assert guard.passes(incarnation(store))
        assert origin(store).timeline == "00000002"
        assert guard.held() == (
            "Postgres failed over or was restored: its timeline is 00000002 and was 00000001"
        )


def test_a_hold_begins_anew_with_postgres(own: OwnPostgres, log: Log) -> None:
    """It may be one that was put back as well, and ends that it had then are too early."""
    with read_store(own.url) as store:
        log.guard(store).verify(log.topic)
        execute(store, "UPDATE origin SET held_since = clock_timestamp(), reason = 'r', ends='{}'")
        before = origin(store)
        own.restart()
        log.guard(store).verify(log.topic)
        after = origin(store)
        assert (after.reason, after.ends) == ("r", None)
        assert after.held_since > before.held_since
        log.guard(store).verify(log.topic)
        assert origin(store) == after


def test_another_postgres_is_held(store: Engine, log: Log) -> None:
    log.guard(store).verify(log.topic)
    system_id = origin(store).system_id
    execute(store, "UPDATE origin SET system_id = '1'")
    guard = log.guard(store)
    guard.verify(log.topic)
    assert guard.held() == (
        f"this is another Postgres: its system identifier is {system_id} and was 1"
    )


def test_a_hold_ends_at_the_ends_once_nothing_is_on_its_way(store: Engine, log: Log) -> None:
    log.guard(store).verify(log.topic)
    log.publish(users=4)
    execute(store, "UPDATE origin SET timeline = '1'")
    patient = log.guard(store, on_its_way=3_600)
    patient.verify(log.topic)
    log.publish(users=4)  # sent by a replica that had admitted it before
    patient.look()
    assert origin(store).ends is None
    guard = log.guard(store)
    guard.verify(log.topic)
    with running(guard):
        eventually(lambda: origin(store).ends)
    late = f"clock_timestamp() - held_since >= interval '{ON_ITS_WAY} s'"
    assert one(store, f"SELECT {late} FROM origin")[0]
    ends = log_ends(log.settings, log.topic)
    assert sum(ends.values()) == 8
    assert origin(store).ends == {str(p): end for p, end in ends.items()}
    log.publish()  # later ones are not waited for
    passed = [p for p, end in ends.items() if end]
    for partition in passed:
        guard.look()
        assert guard.held() is not None
        execute(
            store,
            "INSERT INTO offsets (topic, partition, next_offset, topic_id) VALUES"
            f" ('{log.topic.name}', {partition}, {ends[partition]}, '{log.topic.id}')",
        )
    guard.look()
    assert guard.held() is None
    assert origin(store)[-3:] == (None, None, None)


def test_what_is_stored_between_the_two_readings_is_not_missing(
    store: Engine, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move() -> None:
        before = stored(store)
        log.publish()
        eventually(lambda: stored(store) == log.told() == before + 1)

    def moving(*arguments: Any) -> dict[int, int]:
        move()
        read = committed_offsets(*arguments)
        move()
        return read

    with log.replica(store):
        log.publish()
        eventually(lambda: stored(store) == 1)
        monkeypatch.setattr(guard_module, "committed_offsets", moving)
        log.guard(store).verify(log.topic)
    assert stored(store) == 3
    assert origin(store).held_since is None


def test_an_empty_postgres_waits_for_a_log_that_is_not(store: Engine, log: Log) -> None:
    log.publish(users=2)
    guard = log.guard(store)
    guard.verify(log.topic)
    assert guard.held() == "Postgres is new, and the log is not"
    with log.replica(store) as (guard, _):
        eventually(lambda: users(store) == 2 and guard.held() is None)


@pytest.mark.usefixtures("apache_kafka")
def test_a_hold_ends_where_the_log_ends_with_the_mark_of_a_transaction(
    store: Engine, log: Log
) -> None:
    log.publish()
    in_a_transaction(log.settings, log.topic.name)
    guard = log.guard(store)
    guard.verify(log.topic)
    assert guard.held() == "Postgres is new, and the log is not"
    with log.replica(store) as (guard, _):
        eventually(lambda: users(store) == 1 and guard.held() is None)


def test_a_first_start_is_not_held(store: Engine, log: Log) -> None:
    """Nor is the first one with this table: there are records, and they are stored."""
    with log.replica(store) as (guard, _):
        log.publish(users=2)
        eventually(lambda: users(store) == 2 and log.told() == 2)
        assert origin(store).held_since is None
        execute(store, "DELETE FROM origin")
        guard.verify(log.topic)
        assert origin(store).held_since is None


def test_replicas_that_verify_at_once_agree(store: Engine, log: Log) -> None:
    log.publish()
    guards = [log.guard(store) for _ in range(8)]
    with ThreadPoolExecutor(len(guards)) as pool:
        list(pool.map(lambda guard: guard.verify(log.topic), guards))
    assert {guard.held() for guard in guards} == {origin(store).reason}
    assert origin(store).held_since is not None


@pytest.mark.usefixtures("apache_kafka")
def test_a_topic_made_anew_is_refused(store: Engine, log: Log) -> None:
    log.guard(store).verify(log.topic)
    admin = AdminClient(log.settings.common())
    admin.delete_topics([log.topic.name])[log.topic.name].result(10)
    eventually(lambda: log.topic.name not in admin.list_topics(timeout=5).topics)
    again = ensure_topic(log.settings, log.topic.name)
    with pytest.raises(Refused, match="is of the topic") as refusal:
        log.guard(store).verify(again)
    assert f"with id {log.topic.id}, but this one has id {again.id}" in str(refusal.value)


def test_another_cluster_is_refused(store: Engine, log: Log) -> None:
    guard = log.guard(store)
    guard.verify(log.topic)
    execute(store, "UPDATE origin SET cluster_id = 'other'")
    consumer = log.consumer(store, guard.verify)
    with running(consumer):
        eventually(lambda: consumer.status().state.startswith("stopped"))
    assert consumer.status().state == (
        "stopped: this database is of the Kafka cluster with id other, but this one has id"
        f" {log.topic.cluster_id}: go back to that one, or give the service an empty database"
    )
    with running(guard):
        assert guard.failed.wait(10)


def test_nothing_is_consumed_before_it_is_verified(store: Engine, log: Log) -> None:
    """At the beginning of a session, and again when partitions are assigned in it."""
    calls: list[Topic] = []

    def verify(topic: Topic) -> None:
        calls.append(topic)
        if len(calls) in (1, 3):
            raise TopicUnavailable("not now")

    log.publish()
    consumer = log.consumer(store, verify)
    with running(consumer):
        eventually(lambda: stored(store) == 1)
    assert len(calls) >= 5


def test_kafka_is_told_of_what_is_stored_while_postgres_is_away(
    store: Engine, log: Log, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or one that comes back without it would not be noticed."""
    monkeypatch.setattr(session, "COMMIT_INTERVAL", 1e9)
    consumer = log.consumer(store, lambda topic: None)
    with running(consumer):
        log.publish()
        eventually(lambda: stored(store) == 1)
        shut(postgres_url, str(store.url.database))
        log.publish()
        eventually(lambda: consumer.status().state == "waiting: Postgres is away")
        assert log.told() == 0
        monkeypatch.setattr(session, "COMMIT_INTERVAL", 0)
        eventually(lambda: log.told() == 1)


def shut(server: str, database: str) -> None:
    """Let nobody use the database any more."""
    engine = make_engine(server, schema="public", pool_size=1)
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false"))
        connection.execute(text(ended))
    engine.dispose()
