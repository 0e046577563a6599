"""ListEvents on a real Postgres: what it selects, page by page, and by which index."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from integration import databases
from integration.folded import PARTITIONS, at, fold, records
from sqlalchemy import Connection, Engine, event, text

from rollcall.users.v1 import events_pb2, queries_pb2
from rollcall_events.codec import RawRecord
from rollcall_events.folding import Failure
from rollcall_events.ids import uuid7
from rollcall_user_management.domain.errors import NotFound, SequenceParked
from rollcall_user_management.queries import events
from rollcall_user_management.queries.cursor import InvalidCursor
from rollcall_user_management.queries.events import list_events
from rollcall_user_management.queries.fields import InvalidField

ADA, EVE, ROLE = uuid7(), uuid7(), uuid7()
UNKNOWN = "01900000-0000-7000-8000-00000000ffff"
LOG = [
    (events_pb2.RoleCreatedEvent(role_id=ROLE, name="editor"), "services/platform"),
    (
        events_pb2.UserCreatedEvent(
            user_id=ADA, person=events_pb2.Person(email="ada@x.org", name="Ada")
        ),
        "services/platform",
    ),
    (
        events_pb2.UserCreatedEvent(
            user_id=EVE, person=events_pb2.Person(email="eve@x.org", name="Eve")
        ),
        f"users/{ADA}",
    ),
    (
        events_pb2.RoleAssignedToUserEvent(user_id=EVE, role_id=ROLE, role_name="editor"),
        f"users/{ADA}",
    ),
    (events_pb2.UserLoggedInEvent(user_id=EVE), f"users/{EVE}"),
    (
        events_pb2.UserUpdatedEvent(
            user_id=EVE, person=events_pb2.Person(email="eve@x.org", name="Evelyn")
        ),
        f"tokens/{ADA}",
    ),
    (events_pb2.UserDeletedEvent(user_id=EVE), f"users/{EVE}"),
    (events_pb2.UserUpdatedEvent(user_id=EVE), None),
]


def asked(**filters: Any) -> queries_pb2.ListEventsRequest:
    request = queries_pb2.ListEventsRequest()
    for name, value in filters.items():
        if isinstance(value, datetime):
            getattr(request, name).FromDatetime(value)
        else:
            setattr(request, name, value)
    return request


@pytest.fixture(scope="module")
def written(postgres_url: str) -> Iterator[Engine]:
    """A store that these tests only read."""
    with databases.empty(postgres_url) as url, databases.of_user_management(url) as store:
        fold(store, [*records(LOG), NO_EVENT])
        yield store


@pytest.fixture
def reading(written: Engine) -> Iterator[Connection]:
    with written.connect() as connection:
        yield connection


# As another team's process might append it, half a second after the last event.
ELSEWHERE = min(set(range(PARTITIONS)) - {record.partition for record in records(LOG)})
NO_EVENT = RawRecord("users", ELSEWHERE, 0, b"no uuid", b"", [], int(at(7.5).timestamp() * 1000))


def seconds(found: queries_pb2.ListEventsResponse) -> list[float]:
    """When each event was recorded, which tells them apart here."""
    return [e.recorded_at.ToNanoseconds() / 1e9 - at(0).timestamp() for e in found.events]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7, 7.5]),
        ({"order_by": "-recorded_at"}, [7.5, 7, 6, 5, 4, 3, 2, 1, 0]),
        ({"subject": f"users/{EVE}"}, [2, 3, 4, 5, 6, 7]),
        ({"subject": f"users/{EVE}", "order_by": "-recorded_at"}, [7, 6, 5, 4, 3, 2]),
        ({"subject": f"roles/{ROLE}"}, [0]),
        ({"type": "UserCreatedEvent"}, [1, 2]),
        ({"type": "rollcall.users.v1.UserCreatedEvent"}, [1, 2]),
        ({"actor": f"users/{ADA}"}, [2, 3]),
        ({"actor": "services/platform"}, [0, 1]),
        ({"actor": "services/nobody"}, []),
        ({"since": at(5)}, [5, 6, 7, 7.5]),
        ({"until": at(1)}, [0, 1]),
        ({"since": at(3), "until": at(3)}, [3]),
        ({"since": at(3), "until": at(2)}, []),
        ({"since": at(1), "actor": f"users/{EVE}", "type": "UserDeletedEvent"}, [6]),
        ({"subject": f"users/{EVE}", "type": "RoleCreatedEvent"}, []),
    ],
)
def test_every_filter_has_to_hold(
    reading: Connection, filters: dict[str, Any], found: list[float]
) -> None:
    assert seconds(list_events(reading, asked(**filters))) == found


def test_a_timeline_tells_who_did_what_and_why_not(reading: Connection) -> None:
    timeline = list_events(reading, asked(subject=f"users/{EVE}"))
    assert timeline.topic == "users"
    assert {e.subject for e in timeline.events} == {f"users/{EVE}"}
    told = [
        (e.type.rpartition(".")[2], e.version, e.actor_name, e.rejected) for e in timeline.events
    ]
    assert told == [
        ("UserCreatedEvent", 1, "Ada", ""),
        ("RoleAssignedToUserEvent", 2, "Ada", ""),
        ("UserLoggedInEvent", 0, "Evelyn", ""),
        ("UserUpdatedEvent", 3, "", ""),
        ("UserDeletedEvent", 4, "Evelyn", ""),  # the name it had
        ("UserUpdatedEvent", 0, "", "the user was deleted"),
    ]
    changes = [json.loads(e.changes) for e in timeline.events]
    assert changes[1] == [{"field": "roles", "old": None, "new": {"id": ROLE, "name": "editor"}}]
    assert changes[3] == [{"field": "name", "old": "Eve", "new": "Evelyn"}]
    assert changes[5] == []


def test_a_record_that_is_no_event_is_in_the_trail(reading: Connection) -> None:
    last = list_events(reading, asked()).events[-1]
    assert (last.partition, last.offset, last.changes) == (ELSEWHERE, 0, "[]")
    assert last.rejected == "the key is not a UUID"
    assert not any(last.HasField(f) for f in ("id", "type", "subject", "version", "occurred_at"))


@pytest.mark.parametrize("order", ["recorded_at", "-recorded_at"])
@pytest.mark.parametrize("filters", [{}, {"subject": f"users/{EVE}"}, {"until": at(6)}])
def test_pages_are_the_whole_in_pieces(
    reading: Connection, filters: dict[str, Any], order: str
) -> None:
    request = asked(order_by=order, **filters)
    whole = list_events(reading, request)
    assert not whole.next_cursor
    request.page_size = 2
    pieces: list[queries_pb2.HistoryEvent] = []
    while True:
        page = list_events(reading, request)
        assert len(page.events) <= 2
        pieces += page.events
        if not page.next_cursor:
            break
        request.cursor = page.next_cursor
    assert pieces == list(whole.events)


def test_what_was_recorded_at_one_moment_is_told_apart_by_its_place(store: Engine) -> None:
    fold(store, [])
    _insert_many(store, 30, "'2026-01-01Z'")
    request = asked(page_size=7)
    places: list[tuple[int, int]] = []
    with store.connect() as connection:
        while not places or request.cursor:
            page = list_events(connection, request)
            places += [(e.partition, e.offset) for e in page.events]
            request.cursor = page.next_cursor
    assert places == sorted(set(places))
    assert len(places) == 30


def test_a_page_of_large_changes_is_short(
    reading: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_BYTES", 0)
    request = asked()
    first = list_events(reading, request)
    assert seconds(first) == [0]
    request.cursor = first.next_cursor
    assert seconds(list_events(reading, request)) == [1]


@pytest.mark.parametrize("subject", [f"users/{UNKNOWN}", f"users/{ROLE}", f"roles/{ADA}"])
def test_of_what_never_was_there_is_no_timeline(reading: Connection, subject: str) -> None:
    with pytest.raises(NotFound) as refused:
        list_events(reading, asked(subject=subject))
    assert refused.value.reason == f"{subject[:4].upper()}_NOT_FOUND"


def test_a_timeline_is_not_told_while_a_part_of_it_is_held(store: Engine) -> None:
    log = records(LOG)
    fold(store, log, {log[2].position: Failure("a test")})
    with store.connect() as connection:
        with pytest.raises(SequenceParked):
            list_events(connection, asked(subject=f"users/{EVE}"))
        assert seconds(list_events(connection, asked())) == [0, 1]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("subject", "ada", "users/<id> or roles/<id>"),
        ("subject", f"tokens/{ADA}", "users/<id> or roles/<id>"),
        ("subject", f"users/{ADA.upper()}", "lower case"),
        ("type", "UserRenamedEvent", "must be one of UserCreatedEvent, "),
        ("type", "", "must be one of"),
        ("actor", ADA, "services/<name>"),
        ("actor", "services/", "services/<name>"),
        ("actor", "users/ada", "users/<id>"),
        ("order_by", "type", "recorded_at or -recorded_at"),
        ("page_size", 1001, "from 1 to 1000"),
        ("page_size", -1, "from 1 to 1000"),
    ],
)
def test_what_cannot_be_asked_is_told(
    reading: Connection, field: str, value: Any, told: str
) -> None:
    with pytest.raises(InvalidField, match=told) as refused:
        list_events(reading, asked(**{field: value}))
    assert refused.value.field == field


def test_a_moment_beyond_all_calendars_is_refused(reading: Connection) -> None:
    request = asked()
    request.until.seconds = 10**12
    with pytest.raises(InvalidField, match="until"):
        list_events(reading, request)


def test_a_cursor_is_of_its_question(reading: Connection) -> None:
    cursor = list_events(reading, asked(page_size=1)).next_cursor
    assert list_events(reading, asked(cursor=cursor)).events
    for other in ({"order_by": "-recorded_at"}, {"type": "UserCreatedEvent"}, {"until": at(3)}):
        with pytest.raises(InvalidCursor):
            list_events(reading, asked(cursor=cursor, **other))
    for forged in (b"[]", b"{}", b"[1, 2", cursor.replace(b"2026", b"\\u0000")):
        with pytest.raises(InvalidCursor):
            list_events(reading, asked(cursor=forged))


MANY = 30_000
ONE_ACTOR = f"users/{ADA}"


def _insert_many(store: Engine, rows: int, recorded_at: str) -> None:
    """Records of 50 partitions in turn, of keys and actors of which each has some hundred."""
    statement = f"""INSERT INTO history SELECT n % 50, n / 50,
        lpad(to_hex(n % 300), 32, '0')::uuid, gen_random_uuid(),
        'rollcall.users.v1.' || CASE WHEN n % 100 = 7 THEN 'UserDeleted' ELSE 'UserUpdated' END
          || 'Event',
        n, NULL, {recorded_at}, now(), 's',
        CASE WHEN n % 100 = 0 THEN :actor ELSE 'users/' || gen_random_uuid() END, NULL, NULL,
        '[]', NULL, NULL, NULL FROM generate_series(1, {rows}) n"""
    with store.begin() as connection:
        connection.execute(text(statement), {"actor": ONE_ACTOR})
        connection.execute(text("ANALYZE history"))


@pytest.mark.parametrize("order", ["recorded_at", "-recorded_at"])
def test_each_filter_and_each_next_page_is_a_search_of_an_index(store: Engine, order: str) -> None:
    fold(store, [])
    _insert_many(store, MANY, "'2026-01-01Z'::timestamptz + n * interval '1 s'")
    key = "00000000-0000-0000-0000-000000000007"
    questions: list[tuple[str, dict[str, Any]]] = [
        ("history_recorded", {}),
        ("history_key", {"subject": f"users/{key}"}),
        ("history_type", {"type": "UserDeletedEvent"}),
        ("history_actor", {"actor": ONE_ACTOR}),
        ("history_recorded", {"since": at(MANY / 2)}),
        ("history_recorded", {"until": at(MANY / 2)}),
    ]
    with store.connect() as connection:
        for index, question in questions:
            request = asked(page_size=20, order_by=order, **question)
            for _ in range(2):  # its first page, and its second
                plan, page = _planned(connection, request)
                allowed = {"Limit", "Incremental Sort", f"Index Scan {index}"}
                assert _kinds(plan) <= allowed, (question, plan)
                assert len(page.events) == 20
                request.cursor = page.next_cursor


def _planned(
    connection: Connection, request: queries_pb2.ListEventsRequest
) -> tuple[dict[str, Any], queries_pb2.ListEventsResponse]:
    """How Postgres does it, and the page."""
    seen: list[tuple[str, Any]] = []

    def see(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM history" in statement:
            seen.append((statement, parameters))

    event.listen(connection.engine, "before_cursor_execute", see)
    try:
        page = list_events(connection, request)
    finally:
        event.remove(connection.engine, "before_cursor_execute", see)
    ((statement, parameters),) = seen
    explain = f"EXPLAIN (FORMAT JSON) DECLARE c CURSOR FOR {statement}"
    (plan,) = connection.exec_driver_sql(explain, parameters).scalar_one()
    return plan["Plan"], page


def _kinds(plan: dict[str, Any]) -> set[str]:
    kind = " ".join(filter(None, (plan["Node Type"], plan.get("Index Name"))))
    return {kind}.union(*(_kinds(p) for p in plan.get("Plans", [])))
