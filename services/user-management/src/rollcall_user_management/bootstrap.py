"""The composition root: every part is made here, and knows only what it is given."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from rollcall_events import Consumer, Pace, Publisher
from rollcall_service.counts import parked_counts
from rollcall_service.held import HeldGauges
from rollcall_service.lifecycle import Component
from rollcall_service.management import ManagementServer
from rollcall_service.migrations import upgrade
from rollcall_service.operators import CONNECTIONS, NotNow, Service
from rollcall_service.parking_server import Store, parking_service
from rollcall_service.postgres import make_engine
from rollcall_service.status import replica_status
from rollcall_service.tracing import Tracing
from rollcall_user_management.admission.guard import Guard
from rollcall_user_management.admission.marker import Marker
from rollcall_user_management.admission.recovery import Recovery
from rollcall_user_management.api.server import GrpcServer
from rollcall_user_management.commands.lanes import Lanes
from rollcall_user_management.commands.pulse import Pulse
from rollcall_user_management.commands.service import CommandService
from rollcall_user_management.generations import table
from rollcall_user_management.generations.projections import Projections
from rollcall_user_management.generations.service import (
    generation_methods,
    log_length,
    no_filling,
    projection_service,
)
from rollcall_user_management.generations.store import Generation, ReadStore
from rollcall_user_management.projection.handlers import subscription
from rollcall_user_management.projection.search_index import SearchIndex
from rollcall_user_management.queries.service import QueryService
from rollcall_user_management.readstore import NotServing, group_of, live_schema, schema_of
from rollcall_user_management.settings import SCHEMA, SERVICE, Settings
from rollcall_user_management.verification.methods import (
    TIMELINES,
    VERIFICATIONS,
    verification_methods,
)

TOPIC = "users"
WORKERS = 4  # threads that talk to Postgres for queries
# Connections of the guard, recovery, the search index and generations, and of operators.
SHARED = 6 + CONNECTIONS + VERIFICATIONS + TIMELINES
EACH = WORKERS + 3 + CONNECTIONS  # of queries, the projection (two), counts and operators


class Workers:
    """Threads for queries, let go of when nothing asks any more."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="postgres")

    def start(self) -> None:
        """Threads are made when they are needed."""

    def stop(self) -> None:
        self.executor.shutdown(wait=False, cancel_futures=True)


def prepare(settings: Settings) -> None:
    """Bring the database up to date, and have a generation of this release's layout."""
    engine = make_engine(settings.database_url, schema=SCHEMA, pool_size=1)
    try:
        upgrade(engine, "rollcall_user_management", schema=SCHEMA)
        live_schema(engine)
        with engine.begin() as connection:
            table.join(connection)
    finally:
        engine.dispose()


def build(settings: Settings) -> Sequence[Component]:
    """The components in the order they start."""
    tracing = Tracing(SERVICE, settings.replica_id)
    prepare(settings)
    store = ReadStore(settings.database_url, shared=SHARED, each=EACH)
    workers = Workers()
    publisher = Publisher(settings.kafka, TOPIC, f"/services/{SERVICE}")
    marker = Marker(store.engine, store.has_passed)
    guard = Guard(store.engine, settings.kafka, group_of, rejoin=lambda: projections.rejoin())

    def project(generation: Generation, pace: Pace) -> Consumer:
        return Consumer(
            subscription(generation.schema),
            settings.kafka,
            generation.engine,
            on_topic=generation.positions.set_topic,
            verify=guard.verify,
            pace=pace,
        )

    projections = Projections(store, project, show=lambda serving: server.show(serving))
    pulse = Pulse()
    lanes = Lanes(
        lambda: store.live().engine,
        projections.look,
        publisher,
        marker.mark,
        store.topic_id,
        guard.passes,
        stalled=pulse.stalled,
    )
    commands = CommandService(lanes, publisher, store.topic_id)
    queries = QueryService(store.live, workers.executor)
    parked = parked_counts(lambda: store.live().engine.connect())

    def status() -> dict[str, Any]:
        told, reason = projections.status(), guard.held()
        if reason is not None:
            told = replace(told, state=f"admitting nothing: {reason}")
        document = replica_status(settings.replica_id, SERVICE, TOPIC, told)
        return document | {"parked": parked.read(), "filling": projections.filling()}

    server = GrpcServer(
        settings.grpc_host,
        settings.grpc_port,
        commands.handle,
        commands.handle_all,
        queries.answer,
        _operators(store, settings),
    )
    management = ManagementServer(
        settings.management_host,
        settings.management_port,
        healthy=projections.healthy,
        ready=projections.ready,
        status=status,
    )
    return [
        tracing,
        management,
        store,
        workers,
        parked,
        HeldGauges(SERVICE, projections.status),
        guard,
        marker,
        publisher,
        Recovery(store.engine, publisher, marker.mark),
        SearchIndex(store.engine),
        pulse,
        lanes,
        server,
        projections,  # the first to stop, so that partitions move at once
    ]


def _operators(store: ReadStore, settings: Settings) -> Sequence[Service]:
    """What operators ask: of all generations, since a parked event is parked in each."""

    def held() -> Sequence[Store]:
        try:
            return [(g.engine, subscription(g.schema)) for g in store.all()]
        except NotServing as error:
            raise NotNow(str(error)) from None

    return [
        parking_service(held, lambda: no_filling(store.engine)),
        projection_service(
            {
                **generation_methods(store.engine, log_length(settings.kafka, TOPIC)),
                **verification_methods(store.engine, settings.kafka, subscription(schema_of(1))),
            }
        ),
    ]
