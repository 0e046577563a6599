"""The composition root: every part is made here, and knows only what it is given."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from rollcall_events import Consumer, Publisher
from rollcall_events.consumer import Status
from rollcall_service.counts import parked_counts
from rollcall_service.lifecycle import Component
from rollcall_service.management import ManagementServer
from rollcall_service.migrations import upgrade
from rollcall_service.operators import CONNECTIONS
from rollcall_service.parking_server import parking_service
from rollcall_service.postgres import make_engine
from rollcall_service.status import replica_status
from rollcall_user_management.admission.guard import Guard
from rollcall_user_management.admission.marker import Marker
from rollcall_user_management.admission.recovery import Recovery
from rollcall_user_management.api.server import GrpcServer
from rollcall_user_management.commands.lanes import Lanes
from rollcall_user_management.commands.pulse import Pulse
from rollcall_user_management.commands.service import CommandService
from rollcall_user_management.projection.handlers import subscription
from rollcall_user_management.queries.positions import Positions
from rollcall_user_management.queries.service import QueryService
from rollcall_user_management.readstore import live_schema
from rollcall_user_management.settings import SCHEMA, SERVICE, Settings

WORKERS = 4  # threads that talk to Postgres for queries
BACKGROUND = 5  # connections of the projection, guard, marker, recovery and listener
POOL = WORKERS + BACKGROUND + CONNECTIONS


class Postgres:
    """The connections and the threads that use them, let go of when everything else has stopped."""

    def __init__(self, url: str, schema: str):
        self.engine = make_engine(url, schema=f"{schema},{SCHEMA}", pool_size=POOL)
        self.executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="postgres")

    def start(self) -> None:
        """Connections are made when they are needed."""

    def stop(self) -> None:
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.engine.dispose()


def prepare(settings: Settings) -> str:
    """Bring the database up to date; the schema of the live generation."""
    engine = make_engine(settings.database_url, schema=SCHEMA, pool_size=1)
    try:
        upgrade(engine, "rollcall_user_management", schema=SCHEMA)
        return live_schema(engine)
    finally:
        engine.dispose()


def build(settings: Settings) -> Sequence[Component]:
    """The components in the order they start."""
    schema = prepare(settings)
    postgres = Postgres(settings.database_url, schema)
    engine, executor = postgres.engine, postgres.executor
    publisher = Publisher(settings.kafka, "users", f"/services/{SERVICE}")
    positions = Positions(engine, schema, look=lambda: consumer.moments.ask())
    marker = Marker(engine, positions.has_passed)
    projection = subscription(schema)
    guard = Guard(engine, settings.kafka, projection.group, rejoin=lambda: consumer.rejoin())
    pulse = Pulse()
    lanes = Lanes(
        engine, publisher, marker.mark, positions.topic_id, guard.passes, stalled=pulse.stalled
    )
    commands = CommandService(lanes, publisher, positions.topic_id)
    queries = QueryService(engine, executor, positions)
    consumer = Consumer(
        projection,
        settings.kafka,
        engine,
        on_topic=positions.set_topic,
        verify=guard.verify,
    )
    parked = parked_counts(engine)

    def status() -> dict[str, Any]:
        told = _told(consumer.status(), guard.held())
        held = replica_status(settings.replica_id, SERVICE, projection.topic, told)
        return held | {"parked": parked.read()}

    management = ManagementServer(
        settings.management_host,
        settings.management_port,
        healthy=consumer.healthy,
        ready=consumer.ready,
        status=status,
    )
    return [
        management,
        postgres,
        parked,
        guard,
        marker,
        publisher,
        Recovery(engine, publisher, marker.mark),
        positions,
        pulse,
        lanes,
        GrpcServer(
            settings.grpc_host,
            settings.grpc_port,
            commands.handle,
            commands.handle_all,
            queries.answer,
            parking_service(engine, projection),
        ),
        consumer,  # the first to stop, so that its partitions move at once
    ]


def _told(status: Status, held: str | None) -> Status:
    """What the consumer says, and that commands are refused where they are."""
    return replace(status, state=f"admitting nothing: {held}") if held else status
