"""What each group's schema says: which events it has seen, what it holds, and what it owes."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from chaos import slack
from faults import store
from faults.fold import Place
from psycopg2 import extensions

from rollcall_local.services import MAIL, SLACK, USERS

NOTIFIERS = (MAIL, SLACK)
_DOMAIN = "rollcall.example"
Identity = tuple[str, str]  # of an event: key and id


@dataclass(frozen=True)
class Delivery:
    """A row of a ledger. message: as its provider knows it."""

    id: int
    key: str
    event_id: str
    place: Place
    kind: str
    recipient: str
    state: str
    message: str


@dataclass(frozen=True)
class Group:
    """next: partition → the offset that is applied next. roots: key → the place of what could not
    be handled. held: all that is held, the roots included."""

    next: Mapping[int, int]
    seen: frozenset[Identity]
    roots: Mapping[str, Place] = field(default_factory=dict)
    held: frozenset[Identity] = frozenset()
    deliveries: Sequence[Delivery] = ()


def read(url: str) -> dict[str, Group]:
    with closing(psycopg2.connect(url)) as connection:
        schemas = _schemas(connection)
        return {name: _group(connection, name, schema) for name, schema in schemas.items()}


def reached(url: str) -> dict[str, dict[int, int]]:
    """Group → partition → the offset that it applies next."""
    with closing(psycopg2.connect(url)) as connection:
        schemas = _schemas(connection)
        return {name: _next(connection, schema) for name, schema in schemas.items()}


def pending(url: str, service: str) -> set[int]:
    """The deliveries that have not come to their end."""
    with closing(psycopg2.connect(url)) as connection:
        rows = _rows(connection, f"id FROM {_schema(service)}.deliveries WHERE state = 'pending'")
    return {id_ for (id_,) in rows}


def in_flight(url: str, service: str, replica: str = "") -> set[str]:
    """The messages that a replica, or any, has in hand: nothing is recorded of them yet."""
    with closing(psycopg2.connect(url)) as connection:
        rows = _rows(
            connection,
            "event_key::text, event_id::text, kind, recipient"
            f" FROM {_schema(service)}.deliveries"
            " WHERE state = 'pending' AND leased_by LIKE %s",
            f"{replica}%",
        )
    return {identity(service, *row) for row in rows}


def identity(service: str, key: str, event_id: str, kind: str, recipient: str) -> str:
    """Of a message, as its provider is told it."""
    if service == SLACK:
        return slack.identity(key, event_id, kind, recipient)
    digest = hashlib.sha256("\0".join((key, event_id, kind, recipient)).encode()).hexdigest()[:16]
    return f"{event_id}.{digest}@{_DOMAIN}"


def _schemas(connection: extensions.connection) -> dict[str, str]:
    return {USERS: store.live_schema(connection)} | {n: _schema(n) for n in NOTIFIERS}


def _schema(notifier: str) -> str:
    return notifier.replace("-", "_")


def _group(connection: extensions.connection, name: str, schema: str) -> Group:
    return Group(
        next=_next(connection, schema),
        seen=frozenset(_rows(connection, f"key::text, event_id::text FROM {schema}.inbox")),
        roots={
            key: (partition, offset)
            for key, partition, offset in _rows(
                connection, f'key::text, partition, "offset" FROM {schema}.parked'
            )
        },
        held=frozenset(_rows(connection, f"key::text, event_id::text FROM {schema}.held")),
        deliveries=_deliveries(connection, name, schema) if name in NOTIFIERS else (),
    )


def _deliveries(connection: extensions.connection, name: str, schema: str) -> list[Delivery]:
    rows = _rows(
        connection,
        'id, event_key::text, event_id::text, partition, "offset", kind, recipient, state'
        f" FROM {schema}.deliveries ORDER BY id",
    )
    return [
        Delivery(
            id_,
            key,
            event_id,
            (partition, offset),
            kind,
            recipient,
            state,
            identity(name, key, event_id, kind, recipient),
        )
        for id_, key, event_id, partition, offset, kind, recipient, state in rows
    ]


def _next(connection: extensions.connection, schema: str) -> dict[int, int]:
    return dict(_rows(connection, f"partition, next_offset FROM {schema}.offsets"))


def _rows(connection: extensions.connection, statement: str, *given: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {statement}", given)
        return cursor.fetchall()
