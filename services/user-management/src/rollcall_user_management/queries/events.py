"""The audit trail: what the history has of every record, and of one aggregate its timeline."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_events.ids import is_uuid
from rollcall_events.types import EVENT_TYPES, PREFIX
from rollcall_user_management.domain.errors import NotFound
from rollcall_user_management.queries import cursor
from rollcall_user_management.queries.fields import InvalidField, moment_of, page_size
from rollcall_user_management.queries.parked import check_not_parked
from rollcall_user_management.representations import subject_of, timestamp

MAX_PAGE = 1000
MAX_BYTES = 4 * 1024 * 1024  # of a page's changes: it ends early rather than grow beyond
TOPIC = "users"

_COLLECTIONS = {type_.collection for type_ in EVENT_TYPES.values()}
# Rows that the client's side holds at once; the changes of each may be a MiB.
_FETCHED = 100

_SELECT = (
    'SELECT h.partition, h."offset", h.key::text AS key, h.event_id::text AS event_id, h.type,'
    " h.version, h.rejected, h.recorded_at, h.occurred_at, h.actor, h.correlation_id,"
    " h.causation_id, h.changes::text AS changes FROM history h"
)
# An event of a type that is not known here may be of any collection.
_OF_SUBJECT = "h.key = cast(:key AS uuid) AND h.type <> ALL (:others)"
_KNOWN = text(f"SELECT 1 FROM history h WHERE {_OF_SUBJECT} LIMIT 1")  # noqa: S608  (constants)
_NAMES = text("SELECT id::text AS id, name FROM users WHERE id = ANY (cast(:ids AS uuid[]))")

Condition = tuple[str, dict[str, Any]]


def list_events(connection: Connection, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
    """A page of what was recorded; short where its changes are large. Raises InvalidField,
    InvalidCursor, and of a subject NotFound, SequenceParked."""
    size = page_size(request.page_size, MAX_PAGE)
    backwards = _backwards(request.order_by)
    conditions = [make(request) for field, make in _FILTERS.items() if request.HasField(field)]
    if request.HasField("subject"):
        check_not_parked(connection, _subject(request)[1])
    question = [sorted((k, str(v)) for _, p in conditions for k, v in p.items()), backwards]
    if request.cursor:
        conditions.append(_beyond(cursor.decode_place(request.cursor, question), backwards))
    rows, more = _page(connection, conditions, backwards, size)
    if not rows and request.HasField("subject"):
        _check_known(connection, request)
    response = pb.ListEventsResponse(events=_messages(connection, rows, request), topic=TOPIC)
    if more:
        last = rows[-1]
        place = (last.recorded_at.isoformat(), last.partition, last.offset)
        response.next_cursor = cursor.encode_place(question, place)
    return response


def _page(
    connection: Connection, conditions: Sequence[Condition], backwards: bool, size: int
) -> tuple[Sequence[Row[Any]], bool]:
    """The rows, and whether there are more of them."""
    where = " AND ".join(f"({sql})" for sql, _ in conditions) or "true"
    order = ", ".join(
        f"h.{c}{' DESC' * backwards}" for c in ("recorded_at", "partition", '"offset"')
    )
    statement = text(f"{_SELECT} WHERE {where} ORDER BY {order} LIMIT :limit").execution_options(
        stream_results=True, max_row_buffer=_FETCHED
    )
    parameters = {"limit": size + 1} | {k: v for _, p in conditions for k, v in p.items()}
    rows: list[Row[Any]] = []
    bytes_ = 0
    with connection.execute(statement, parameters) as result:
        for row in result:
            if len(rows) == size or bytes_ > MAX_BYTES:
                return rows, True
            rows.append(row)
            bytes_ += len(row.changes)
    return rows, False


def _beyond(place: tuple[str, int, int], backwards: bool) -> Condition:
    """After the one that the page before ended with."""
    recorded_at, partition, offset = place
    sql = (
        f'(h.recorded_at, h.partition, h."offset") {"<" if backwards else ">"}'
        " (cast(:recorded_at AS timestamptz), cast(:partition AS int), cast(:offset AS bigint))"
    )
    return sql, {"recorded_at": recorded_at, "partition": partition, "offset": offset}


def _backwards(order_by: str) -> bool:
    if order_by not in ("", "recorded_at", "-recorded_at"):
        raise InvalidField("order_by", "must be recorded_at or -recorded_at")
    return order_by == "-recorded_at"


def _subject(request: pb.ListEventsRequest) -> tuple[str, str]:
    """The collection, and the id."""
    collection, _, id_ = request.subject.partition("/")
    if collection not in _COLLECTIONS or not is_uuid(id_):
        raise InvalidField("subject", "must be users/<id> or roles/<id>, the id in lower case")
    return collection, id_


def _of_subject(request: pb.ListEventsRequest) -> Condition:
    collection, id_ = _subject(request)
    others = [t.name for t in EVENT_TYPES.values() if t.collection != collection]
    return _OF_SUBJECT, {"key": id_, "others": others}


def _of_type(request: pb.ListEventsRequest) -> Condition:
    known = {name.removeprefix(PREFIX): name for name in EVENT_TYPES}
    name = known.get(request.type.removeprefix(PREFIX))
    if name is None:
        raise InvalidField("type", f"must be one of {', '.join(known)}")
    return "h.type = :type", {"type": name}


def _of_actor(request: pb.ListEventsRequest) -> Condition:
    kind, _, name = request.actor.partition("/")
    if not (is_uuid(name) if kind in ("users", "tokens") else kind == "services" and name):
        raise InvalidField("actor", "must be users/<id>, tokens/<id> or services/<name>")
    return "h.actor = :actor", {"actor": request.actor}


def _since(request: pb.ListEventsRequest) -> Condition:
    return "h.recorded_at >= :since", {"since": moment_of(request.since, "since")}


def _until(request: pb.ListEventsRequest) -> Condition:
    return "h.recorded_at <= :until", {"until": moment_of(request.until, "until")}


_FILTERS: Mapping[Any, Callable[[pb.ListEventsRequest], Condition]] = {
    "subject": _of_subject,
    "type": _of_type,
    "actor": _of_actor,
    "since": _since,
    "until": _until,
}


def _check_known(connection: Connection, request: pb.ListEventsRequest) -> None:
    """Raises NotFound."""
    if connection.execute(_KNOWN, _of_subject(request)[1]).first() is None:
        raise NotFound(_subject(request)[0].removesuffix("s"))


def _messages(
    connection: Connection, rows: Sequence[Row[Any]], request: pb.ListEventsRequest
) -> Iterable[pb.HistoryEvent]:
    names = _actor_names(connection, {row.actor for row in rows if row.actor})
    for row in rows:
        yield pb.HistoryEvent(
            id=row.event_id,
            type=row.type,
            version=row.version,
            recorded_at=timestamp(row.recorded_at),
            occurred_at=timestamp(row.occurred_at),
            actor=row.actor,
            actor_name=names.get(row.actor),
            correlation_id=row.correlation_id,
            causation_id=row.causation_id,
            subject=request.subject or subject_of(row.type, row.key),
            rejected=row.rejected,
            changes=row.changes,
            partition=row.partition,
            offset=row.offset,
        )


def _actor_names(connection: Connection, actors: Iterable[str]) -> dict[str, str]:
    """Of the users among them, deleted ones too, and of services."""
    ids = [a.removeprefix("users/") for a in actors if a.startswith("users/")]
    rows = connection.execute(_NAMES, {"ids": [id_ for id_ in ids if is_uuid(id_)]})
    services = {a: a.removeprefix("services/") for a in actors if a.startswith("services/")}
    return {f"users/{row.id}": row.name for row in rows} | services
