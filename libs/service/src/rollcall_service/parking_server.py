"""Held sequences over gRPC (parking.proto), for every service that consumes."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

from sqlalchemy import Engine

from rollcall.parking.v1 import parking_pb2 as pb
from rollcall.parking.v1 import parking_pb2_grpc as pb_grpc
from rollcall_events import PARTITIONS, Position, RawRecord, Subscription, parking
from rollcall_service.operators import InvalidField, Missing, Service, answered

log = logging.getLogger(__name__)

_PAGE, _MOST = 100, 500  # sequences
_RECORDS, _BYTES = 100, 2_000_000  # shown of a sequence, at most
_REASON = 200  # characters


# Where a group holds what it could not handle: its schema, which the engine's connections see
# first.
Store = tuple[Engine, Subscription]


def parking_service(
    stores: Callable[[], Sequence[Store]],
    discarding: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Service:
    """stores: the first is shown; a sequence is run in all that hold it. discarding: entered around
    each discard. Both may raise NotNow."""
    return Service(
        "rollcall.parking.v1.ParkingService",
        lambda server: pb_grpc.add_ParkingServiceServicer_to_server(
            _Servicer(stores, discarding), server
        ),
    )


class _Servicer(pb_grpc.ParkingServiceServicer):
    def __init__(
        self,
        stores: Callable[[], Sequence[Store]],
        discarding: Callable[[], AbstractContextManager[None]],
    ):
        self._stores = stores
        self._discarding = discarding

    @answered
    def ListParked(self, request: pb.ListParkedRequest) -> pb.ListParkedResponse:  # noqa: N802
        if not 0 <= request.page_size <= _MOST:
            raise InvalidField(f"page_size must be from 1 to {_MOST}")
        size = request.page_size or _PAGE
        after = _uuid("after_key", request.after_key) if request.after_key else None
        engine, subscription = self._stores()[0]
        with engine.connect() as connection:
            found = parking.sequences(connection, subscription.topic, size, after)
            sequences, records = parking.counts(connection)
        return pb.ListParkedResponse(
            sequences=map(_sequence, found),
            next_after_key=found[-1].key if len(found) == size else None,
            total_sequences=sequences,
            total_records=records,
        )

    @answered
    def GetParked(self, request: pb.GetParkedRequest) -> pb.GetParkedResponse:  # noqa: N802
        key = _uuid("key", request.key)
        engine, subscription = self._stores()[0]
        with engine.connect() as connection:
            try:
                found = parking.sequence(connection, subscription.topic, key)
            except parking.NotParked as error:
                raise Missing(str(error)) from None
            records = parking.held_records(connection, subscription.topic, key, _RECORDS)
        answer = pb.GetParkedResponse(sequence=_sequence(found))
        for record in map(_record, records):
            if answer.records and answer.ByteSize() + record.ByteSize() > _BYTES:
                break
            answer.records.append(record)
        return answer

    @answered
    def RedriveParked(self, request: pb.RedriveParkedRequest) -> pb.RedriveParkedResponse:  # noqa: N802
        key = _uuid("key", request.key)
        run = self._in_all(
            lambda engine, subscription: parking.redrive(
                engine, subscription, key, PARTITIONS, dry_run=request.dry_run
            )
        )
        _note("redrive", run, dry_run=request.dry_run)
        return pb.RedriveParkedResponse(run=_run(run))

    @answered
    def DiscardParked(self, request: pb.DiscardParkedRequest) -> pb.DiscardParkedResponse:  # noqa: N802
        key, reason = _uuid("key", request.key), request.reason.strip()
        if not 1 <= len(reason) <= _REASON or "\0" in reason:
            raise InvalidField(f"reason must be 1 to {_REASON} characters, and without NUL")
        with self._discarding():
            run = self._in_all(
                lambda engine, subscription: parking.discard(
                    engine,
                    subscription,
                    key,
                    Position(subscription.topic, request.partition, request.offset),
                    reason,
                    PARTITIONS,
                    dry_run=request.dry_run,
                )
            )
        _note("discard", run, dry_run=request.dry_run)
        return pb.DiscardParkedResponse(run=_run(run))

    def _in_all(self, do: Callable[[Engine, Subscription], parking.Run]) -> parking.Run:
        """What came of it in the first store that holds the sequence. Raises Missing."""
        runs, missing = list[parking.Run](), ""
        for engine, subscription in self._stores():
            try:
                runs.append(do(engine, subscription))
            except parking.NotParked as error:
                missing = missing or str(error)
        if not runs:
            raise Missing(missing)
        return runs[0]


def _note(what: str, run: parking.Run, *, dry_run: bool) -> None:
    if not dry_run:
        counts = {"applied": run.outcome.applied, "left": run.left}
        log.warning("run by hand", extra={"what": what, **counts})


def _uuid(name: str, value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise InvalidField(f"{name} must be a UUID") from None


def _sequence(found: parking.ParkedSequence) -> pb.ParkedSequence:
    message = pb.ParkedSequence(
        key=found.key,
        topic=found.position.topic,
        partition=found.position.partition,
        offset=found.position.offset,
        event_id=found.event_id,
        type=found.type,
        reason=found.reason,
        stack=found.stack,
        attempts=found.attempts,
        held=found.held,
    )
    message.parked_at.FromDatetime(found.parked_at)
    message.tried_at.FromDatetime(found.tried_at)
    return message


def _record(record: RawRecord) -> pb.HeldRecord:
    message = pb.HeldRecord(
        partition=record.partition,
        offset=record.offset,
        headers={name: value or b"" for name, value in record.headers or ()},
        value=record.value or b"",
    )
    message.recorded_at.FromMilliseconds(record.timestamp_ms)
    return message


def _run(run: parking.Run) -> pb.Run:
    return pb.Run(
        applied=run.outcome.applied,
        rejected=run.outcome.rejected,
        duplicates=run.outcome.duplicates,
        left=run.left,
        reason=run.failure.reason if run.failure else "",
    )
