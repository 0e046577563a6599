"""Verification finds nothing in the fold of a log, and names each damage exactly."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from integration.verification.histories import History
from sqlalchemy import Engine, text

from rollcall.projections.v1 import projections_pb2 as pb
from rollcall_events import KafkaSettings, TopicUnavailable
from rollcall_user_management.projection.handlers import subscription
from rollcall_user_management.verification.verifying import AnotherLog, Progress, verify

# By what a row is known.
IDENTITY = {
    "users": {"id"},
    "roles": {"id"},
    "user_roles": {"user_id", "role_id"},
    "assignments": {"user_id", "role_id", "since_offset"},
    "history": {"partition", "offset"},
    "inbox": {"key", "event_id"},
    "aggregates": {"key"},
    "offsets": {"topic", "partition"},
}
NEVER_COMPARED = "at_end"  # of offsets: a moment, of no record
# Another value of each type.
OTHER = {
    "uuid": "'01890a5d-ac96-774b-bcce-b302099a8099'",
    "text": "coalesce({0}, '') || '!'",
    "jsonb": "jsonb_build_array({0}, 1)",
    "boolean": "NOT {0}",
    "ARRAY": "array_append({0}, 'x')",
    "timestamp with time zone": "coalesce({0}, now()) + interval '1 us'",
}
NOBODY = "01890a5d-ac96-774b-bcce-b302099a8099"

Found = tuple[str, str]  # table, column


def steps(history: History) -> list[Progress]:
    return [step for step in verify(history.store, history.settings, history.group) if step]


def differences(history: History) -> list[pb.Difference]:
    return [found for step in steps(history) for found in step.differences]


def names(found: Sequence[pb.Difference]) -> Counter[Found]:
    return Counter((one.table, one.column) for one in found)


def one_row_of_each(history: History) -> Mapping[str, str]:
    """Conditions. The user has events behind its first."""
    of_user = f"'{history.users[2]}'"
    return {
        "users": f"id = {of_user}",
        "roles": "ctid = (SELECT min(ctid) FROM roles)",
        "user_roles": "ctid = (SELECT min(ctid) FROM user_roles)",
        "assignments": "ctid = (SELECT min(ctid) FROM assignments)",
        "history": f"key = {of_user} AND version = 1",
        "inbox": f"ctid = (SELECT min(ctid) FROM inbox WHERE key = {of_user})",
        "aggregates": f"key = {of_user}",
        "offsets": "partition = (SELECT max(partition) FROM offsets WHERE next_offset > 1)",
    }


def columns(store: Engine) -> dict[str, dict[str, str]]:
    """table → column → type."""
    asked = text(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'user_management_g1'"
    )
    found: dict[str, dict[str, str]] = {table: {} for table in IDENTITY}
    with store.connect() as connection:
        for table, column, type_ in connection.execute(asked):
            if table in found:
                found[table][column] = type_
    return found


@contextmanager
def damaged(store: Engine, statements: Sequence[str]) -> Iterator[None]:
    """The tables for a while, in which each statement has changed one row."""
    with store.begin() as connection:
        for table in IDENTITY:
            connection.execute(text(f"CREATE TABLE whole_{table} AS TABLE {table}"))
        for statement in statements:
            assert connection.execute(text(statement)).rowcount == 1, statement
    yield
    with store.begin() as connection:
        for table in IDENTITY:
            connection.execute(text(f"TRUNCATE {table}"))
            connection.execute(text(f"INSERT INTO {table} TABLE whole_{table}"))
            connection.execute(text(f"DROP TABLE whole_{table}"))


def test_it_finds_nothing_in_the_fold_and_each_damage_exactly(history: History) -> None:
    seen = steps(history)
    assert [found for step in seen for found in step.differences] == []
    assert seen[-1].compared == seen[-1].records > 150
    assert seen[-1].parked == 1
    assert_the_history_has_everything(history.store)
    assert_one_value_is_named(history)
    assert_every_column_is_compared(history)
    assert_missing_rows_are_named(history)
    assert_rows_too_many_are_named(history)
    assert differences(history) == []


def assert_the_history_has_everything(store: Engine) -> None:
    def rows(statement: str) -> Sequence[Any]:
        with store.connect() as connection:
            return connection.execute(text(statement)).scalars().all()

    rejected = rows("SELECT rejected FROM history WHERE rejected IS NOT NULL")
    reasons = {reason.partition(":")[0] for reason in rejected}
    assert {"discarded", "the value does not decode", "no such user"} <= reasons
    assert len(set(rows("SELECT type FROM history WHERE rejected IS NULL"))) == 9
    assert rows("SELECT 1 FROM history WHERE key = '01890a5d-ac96-774b-bcce-b302099a8057'")
    assert rows("SELECT 1 FROM users WHERE deleted_at IS NOT NULL")
    assert rows("SELECT 1 FROM assignments WHERE until IS NOT NULL")
    assert rows("SELECT 1 FROM user_roles")
    assert rows("SELECT 1 FROM held")
    copies = len(rows("SELECT 1 FROM history WHERE key IS NOT NULL")) - len(rows("TABLE inbox"))
    assert copies == 0


def assert_one_value_is_named(history: History) -> None:
    user, where = history.users[2], one_row_of_each(history)["users"]
    with damaged(history.store, [f"UPDATE users SET name = 'Eve' WHERE {where}"]):
        [found] = differences(history)
    assert (found.table, found.key, found.column) == ("users", user, "name")
    assert (json.loads(found.expected)[:3], found.found) == ("Ada", '"Eve"')
    with history.store.connect() as connection:
        asked = text("SELECT last_partition, last_offset FROM users WHERE id = cast(:id AS uuid)")
        assert connection.execute(asked, {"id": user}).one() == (found.partition, found.offset)


def assert_every_column_is_compared(history: History) -> None:
    statements, expected = [], Counter[Found]()
    where = one_row_of_each(history)
    for table, types in columns(history.store).items():
        changed = {
            column: OTHER.get(type_, "coalesce({0}, 0) + 1000").format(f'"{column}"')
            for column, type_ in types.items()
            if column not in IDENTITY[table] and column != NEVER_COMPARED
        }
        assert changed or table == "user_roles"
        settings = ", ".join(f'"{column}" = {value}' for column, value in changed.items())
        statements.append(f"UPDATE {table} SET {settings} WHERE {where[table]}")
        expected += Counter((table, column) for column in changed)
    with damaged(history.store, statements):
        found = differences(history)
    assert names(found) == expected
    assert all(one.expected != one.found for one in found)


def assert_missing_rows_are_named(history: History) -> None:
    where = one_row_of_each(history)
    with damaged(history.store, [f"DELETE FROM {table} WHERE {where[table]}" for table in where]):
        found = differences(history)
    assert names(found) == Counter((table, "") for table in IDENTITY)
    assert all(json.loads(one.expected) and not one.HasField("found") for one in found)


def assert_rows_too_many_are_named(history: History) -> None:
    where = one_row_of_each(history)
    copied = [  # of nobody; and of somebody who is known, what they do not have
        ("users", "id"),
        ("roles", "id"),
        ("user_roles", "user_id"),
        ("user_roles", "role_id"),
        ("assignments", "user_id"),
        ("assignments", "role_id"),
        ("inbox", "key"),
        ("inbox", "event_id"),
        ("aggregates", "key"),
    ]
    statements = [
        f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object("
        f"'{column}', '{NOBODY}'))).* FROM {table} t WHERE {where[table]}"
        for table, column in copied
    ]
    history_ = 'INSERT INTO history (partition, "offset", recorded_at, changes)'
    statements += [
        f"{history_} VALUES ({partition}, {offset}, now(), '[]')"
        for partition, offset in ((7, 1_000_000), (7, -1), (70, 0))
    ]
    with damaged(history.store, statements):
        found = differences(history)
    expected = Counter((table, "") for table, _ in copied) + Counter({("history", ""): 3})
    assert names(found) == expected
    assert all(json.loads(one.found) and not one.HasField("expected") for one in found)
    places = {(one.partition, one.offset) for one in found if one.table == "history"}
    assert places == {(7, 1_000_000), (7, -1), (70, 0)}


def test_another_log_is_told_from_a_damage(
    kafka_settings: KafkaSettings, topic: str, store: Engine
) -> None:
    with store.begin() as connection:
        connection.execute(
            text("INSERT INTO offsets VALUES (:topic, 0, 5, 'another')"), {"topic": topic}
        )
    history = History(kafka_settings, topic, store, seed=0)
    with pytest.raises(AnotherLog, match="another topic"):
        steps(history)


def test_a_log_that_is_away_is_told(store: Engine) -> None:
    away = KafkaSettings("127.0.0.1:1")
    with pytest.raises(TopicUnavailable):
        list(verify(store, away, subscription("user_management_g1")))
