"""What is new to the search index is merged into it beside the projection's transactions."""

from collections.abc import Iterator

import pytest
from integration.folded import fold, records
from sqlalchemy import Engine, text
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events.ids import uuid7
from rollcall_service.postgres import make_engine
from rollcall_user_management.projection.search_index import PREPARE, ROWS, SearchIndex

MERGED_BY_POSTGRES = 4 * 2**20 // 8192  # pages, where a session does not say otherwise


@pytest.fixture
def shared(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url, schema="user_management", pool_size=1)
    yield engine
    engine.dispose()


def pages_in_list(store: Engine) -> int:
    with store.connect() as connection:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS pgstattuple"))
        index = "user_management_g1.history_named"
        return int(
            connection.execute(
                text(f"SELECT pending_pages FROM pgstatginindex('{index}')")
            ).scalar_one()
        )


def write(store: Engine, count: int) -> None:
    """More of the history, as a session of the projection would."""
    with store.begin() as connection:
        connection.execute(text(PREPARE))
        connection.execute(
            text(
                'INSERT INTO history (partition, "offset", recorded_at, changes, named)'
                " SELECT 50, n, now(), '[]', 'Somebody ' || n FROM generate_series(1, :count) n"
            ),
            {"count": count},
        )


def found(store: Engine, part: str) -> int:
    with store.connect() as connection:
        return int(
            connection.execute(
                text("SELECT count(*) FROM history WHERE named ILIKE :part"), {"part": f"%{part}%"}
            ).scalar_one()
        )


def people(count: int) -> list[tuple[pb.UserCreatedEvent, None]]:
    made = []
    for _ in range(count):
        user = uuid7()
        person = pb.Person(email=f"{user}@example.com", name=f"Person {user}")
        made.append((pb.UserCreatedEvent(user_id=user, person=person), None))
    return made


def test_the_projection_leaves_the_list_and_the_component_merges_it(
    store: Engine, shared: Engine
) -> None:
    fold(store, records(people(2 * ROWS)))
    assert pages_in_list(store) > MERGED_BY_POSTGRES
    index = SearchIndex(shared)
    index.start()
    try:
        eventually(lambda: pages_in_list(store) == 0)
        assert found(store, "@example.com") == 2 * ROWS
        write(store, ROWS)
        assert pages_in_list(store) > 0
        eventually(lambda: pages_in_list(store) == 0)
        assert found(store, "somebody") == ROWS
    finally:
        index.stop()
