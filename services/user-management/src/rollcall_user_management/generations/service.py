"""Generations over gRPC (projections.proto), and what operators run in them."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine

from rollcall.projections.v1 import projections_pb2 as pb
from rollcall.projections.v1 import projections_pb2_grpc as pb_grpc
from rollcall_events import KafkaSettings, log_ends
from rollcall_events.topic import ensure_topic
from rollcall_service.operators import Missing, NotNow, Service, answered
from rollcall_user_management.generations import table, takeover
from rollcall_user_management.generations.table import Row
from rollcall_user_management.readstore import LAYOUT

log = logging.getLogger(__name__)

_NEAR_WITHIN = 3.0  # seconds that a generation may take to come near before it is refused
_DROPPED_WITHIN = 15.0  # seconds for all replicas to let go of one
_LOOK = 0.1  # seconds

# A method of the service: of (servicer, request, context).
Methods = Mapping[str, Callable[..., Any]]


def projection_service(methods: Methods) -> Service:
    """methods: name → method; those that are not there are UNIMPLEMENTED."""
    servicer = type("ProjectionService", (pb_grpc.ProjectionServiceServicer,), dict(methods))
    return Service(
        "rollcall.projections.v1.ProjectionService",
        lambda server: pb_grpc.add_ProjectionServiceServicer_to_server(servicer(), server),
    )


def log_length(settings: KafkaSettings, topic: str) -> Callable[[], int]:
    """How many records the log has, when it is asked. Raises TopicUnavailable then."""
    return lambda: sum(log_ends(settings, ensure_topic(settings, topic, deadline=1)).values())


def generation_methods(engine: Engine, records: Callable[[], int]) -> Methods:
    """engine: of no generation. records: how many the log has; raises TopicUnavailable."""
    generations = _Generations(engine, records)
    return {
        "ListGenerations": answered(lambda _, request: generations.list(request)),
        "StartRebuild": answered(lambda _, request: generations.start(request)),
        "UseGeneration": answered(lambda _, request: generations.use(request)),
        "DropGeneration": answered(lambda _, request: generations.drop(request)),
    }


@contextmanager
def no_filling(engine: Engine) -> Iterator[None]:
    """Until the end of it none is begun. Raises NotNow if one is being filled: it may have passed
    what is to be discarded, or not."""
    with engine.begin() as connection:
        table.keep(connection)
        filling = [row for row in table.read(connection) if row.state == "filling"]
        if filling:
            raise NotNow(
                f"generation {filling[0].number} is being filled: discard when it is live, or drop"
                f" it first (rollcall rebuild drop {filling[0].number})"
            )
        yield


class _Generations:
    def __init__(self, engine: Engine, records: Callable[[], int]):
        self._engine = engine
        self._records = records

    def list(self, request: pb.ListGenerationsRequest) -> pb.ListGenerationsResponse:
        with self._engine.connect() as connection:
            rows = [row for row in table.read(connection) if row.state != "dropping"]
            records = self._records()
            return pb.ListGenerationsResponse(
                generations=[_message(connection, row, records) for row in rows]
            )

    def start(self, request: pb.StartRebuildRequest) -> pb.Generation:
        with self._engine.begin() as connection:
            live = table.live_of(table.read(connection))
            if live.layout > LAYOUT:
                raise NotNow(
                    f"generation {live.number} has tables of a later release: ask a replica of that"
                )
            row = table.fill(connection, full_speed=request.full_speed)
            log.warning("a generation is filled", extra={"number": row.number})
            return _message(connection, row, self._records())

    def use(self, request: pb.UseGenerationRequest) -> pb.Generation:
        self._row(request.number)
        try:
            takeover.use(self._engine, request.number, _NEAR_WITHIN)
        except takeover.CannotUse as error:
            raise NotNow(str(error)) from None
        log.warning("another generation is live", extra={"number": request.number})
        with self._engine.connect() as connection:
            return _message(connection, self._row(request.number), self._records())

    def drop(self, request: pb.DropGenerationRequest) -> pb.DropGenerationResponse:
        with self._engine.begin() as connection:
            table.lock(connection)
            if self._row(request.number).state == "live":
                raise NotNow(f"generation {request.number} is live: use another one first")
            table.set_state(connection, request.number, "dropping")
        log.warning("a generation is dropped", extra={"number": request.number})
        end = time.monotonic() + _DROPPED_WITHIN
        while self._there(request.number):
            if time.monotonic() > end:
                raise NotNow("some replica still uses it: it is removed as soon as none does")
            threading.Event().wait(_LOOK)
        return pb.DropGenerationResponse()

    def _row(self, number: int) -> Row:
        """Raises Missing."""
        with self._engine.connect() as connection:
            found = [row for row in table.read(connection) if row.number == number]
        if not found:
            raise Missing(f"there is no generation {number}")
        return found[0]

    def _there(self, number: int) -> bool:
        with self._engine.connect() as connection:
            return any(row.number == number for row in table.read(connection))


def _message(connection: Connection, row: Row, records: int) -> pb.Generation:
    """records: of the log."""
    message = pb.Generation(
        number=row.number,
        state=pb.GenerationState.Value(f"GENERATION_STATE_{row.state.upper()}"),
        layout=row.layout,
        full_speed=row.full_speed,
        folded=table.folded(connection, row.schema),
        records=records,
    )
    message.made_at.FromDatetime(row.made_at)
    return message
