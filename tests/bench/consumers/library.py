"""A process that consumes with the events library, as one replica of a service does.

`projection` folds into user-management's read store, whose search index is kept as that service
does; `trivial` has handlers that do nothing, in a schema with no tables but the library's own.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Engine, text

from rollcall_events import EVENT_TYPES, Consumer, Event, KafkaSettings, Subscription
from rollcall_events.schema import CREATE_DISCARDS_V1, CREATE_V1, CREATE_V2
from rollcall_local import ports
from rollcall_service import lifecycle
from rollcall_service.lifecycle import Component
from rollcall_service.management import ManagementServer
from rollcall_service.migrations import upgrade
from rollcall_service.postgres import make_engine
from rollcall_service.status import replica_status
from rollcall_user_management.projection.handlers import subscription
from rollcall_user_management.projection.search_index import SearchIndex
from rollcall_user_management.readstore import live_schema

WAYS = ("projection", "trivial")

Prepared = tuple[Subscription, Engine, Sequence[Component]]


def nothing(event: Event, transaction: object) -> None:
    """The trivial handler."""


def main() -> int:
    options = _options()
    prepare = {"projection": projection, "trivial": trivial}[options.way]
    subscribed, engine, beside = prepare(options.database, options.group)
    settings = KafkaSettings(options.servers)
    consumer = Consumer(subscribed, settings, engine, batch_size=options.batch)
    management = ManagementServer(
        ports.HOST,
        options.port,
        healthy=consumer.healthy,
        ready=consumer.ready,
        status=lambda: replica_status("bench", options.group, subscribed.topic, consumer.status()),
    )
    return lifecycle.run([management, *beside, consumer])


def projection(database: str, group: str) -> Prepared:
    """user-management's own, in a group of the case's."""
    shared = make_engine(database, schema="user_management", pool_size=1)
    upgrade(shared, "rollcall_user_management", schema="user_management")
    schema = live_schema(shared)
    engine = make_engine(database, schema=f"{schema},user_management", pool_size=3)
    return replace(subscription(schema), group=group), engine, [SearchIndex(shared)]


def trivial(database: str, group: str) -> Prepared:
    engine = make_engine(database, schema="public", pool_size=3)
    with engine.begin() as connection:
        for statement in (*CREATE_V1, *CREATE_V2, *CREATE_DISCARDS_V1):
            connection.execute(text(statement))
    handlers = dict.fromkeys(EVENT_TYPES, nothing)
    return Subscription(group=group, schema="public", topic="users", handlers=handlers), engine, []


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--servers", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--port", type=int, default=0, help="where it tells its status")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
