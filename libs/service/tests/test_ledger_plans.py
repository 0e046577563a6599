"""How much a sender's statements look at, in a session that began when there was nothing.

A plan is made once, or again when there are statistics, and those are often of another moment:
neither may matter.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text
from support.sending import ledger_at

from rollcall_events.postgres import Wire
from rollcall_local.postgres import Server
from rollcall_service import leasing

SCHEMA = "plans_test"
ROWS = 20_000
# The last rows of 32 recipients who wait, so that they are behind all others.
IDS = "'{" + ",".join(str(2 * ROWS - n) for n in range(32)) + "}'"
# With what each is asked, and how many rows it may look at: those it is about, and the others of
# their recipients, a few times over.
STATEMENTS = {
    "lock_due (NULL, 8, 4, '{}')": 1_000,
    f"wake_next (NULL, {IDS})": 1_000,
    f"sent (NULL, {IDS})": 1_000,
    f"renew (NULL, {IDS}, 'one', 15)": 1_000,
    f"lease (NULL, {IDS}, 'one', 15)": 1_000,
    f"space_out (NULL, {IDS}, 1000)": 4_000,  # each recipient's times, for each of 32
    "next_due (NULL)": 10,
    "put_behind (NULL)": 12_000,  # of 1,000
}


@pytest.fixture(scope="module")
def engine(postgres: Server) -> Iterator[Engine]:
    with ledger_at(postgres.url(), SCHEMA) as engine:
        yield engine


@pytest.fixture(scope="module", params=["statistics of nothing", "statistics of what is sent"])
def wire(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Wire]:
    """A session that has run everything once, then: so many rows that were sent, as many behind
    others of 5,000 recipients, and 5,000 due, two to a recipient."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE deliveries RESTART IDENTITY"))
    with Wire(engine, leasing.PREPARE) as wire:
        for statement in STATEMENTS:
            wire.send(f"EXECUTE {statement}")
        with engine.begin() as connection:
            _fill(connection, "sent", "late", ROWS, 5_000)
            if request.param == "statistics of what is sent":
                connection.execute(text("ANALYZE deliveries"))
            _fill(connection, "pending", "late", ROWS, 5_000, due="'infinity'")
            _fill(connection, "pending", "due", 5_000, 2_500)
        yield wire


def _fill(
    connection: Any, state: str, name: str, rows: int, recipients: int, due: str = "now()"
) -> None:
    connection.execute(
        text(
            'INSERT INTO deliveries (event_key, event_id, topic, partition, "offset", kind,'
            " recipient, payload, state, due_at, finished_at)"
            " SELECT gen_random_uuid(), gen_random_uuid(), 'users', 0, n, 'welcome',"
            f" '{name}' || n % {recipients} || '@a-company.example.com', '{{}}', '{state}', {due},"
            f" CASE WHEN '{state}' = 'sent' THEN now() END FROM generate_series(1, {rows}) n"
        )
    )


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.split()[0])
def test_it_looks_at_what_it_is_about(wire: Wire, statement: str) -> None:
    wire.send("BEGIN")
    (row,) = wire.send(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {statement}")
    wire.send("ROLLBACK")
    (explained,) = row[0] if isinstance(row[0], list) else json.loads(row[0])
    assert _looked_at(explained["Plan"]) <= STATEMENTS[statement], json.dumps(explained, indent=1)


def _looked_at(node: dict[str, Any]) -> float:
    """Rows that this node and those below it read of tables, those that a filter took away too."""
    own = 0.0
    if "Relation Name" in node or "Index Name" in node:
        removed = node.get("Rows Removed by Filter", 0) + node.get(
            "Rows Removed by Index Recheck", 0
        )
        own = node["Actual Loops"] * (node["Actual Rows"] + removed)
    return own + sum(_looked_at(below) for below in node.get("Plans", ()))
