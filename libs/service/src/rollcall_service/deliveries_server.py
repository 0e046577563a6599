"""The delivery ledger over gRPC (deliveries.proto), for every service that has one."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Engine

from rollcall.deliveries.v1 import deliveries_pb2 as pb
from rollcall.deliveries.v1 import deliveries_pb2_grpc as pb_grpc
from rollcall_service import deliveries
from rollcall_service.deliveries import Filter, Page
from rollcall_service.operators import InvalidField, Service, answered

log = logging.getLogger(__name__)

_PAGE = 100  # rows, where none is asked for

_STATES: dict[int, str] = {
    pb.DELIVERY_STATE_PENDING: "pending",
    pb.DELIVERY_STATE_SENT: "sent",
    pb.DELIVERY_STATE_FAILED: "failed",
    pb.DELIVERY_STATE_CANCELLED: "cancelled",
    pb.DELIVERY_STATE_SETTLED: "settled",
}
_NUMBERS = {name: number for number, name in _STATES.items()}


def deliveries_service(engine: Engine, schema: str) -> Service:
    """Of a schema's ledger."""
    return Service(
        "rollcall.deliveries.v1.DeliveryService",
        lambda server: pb_grpc.add_DeliveryServiceServicer_to_server(
            _Servicer(engine, schema), server
        ),
    )


class _Servicer(pb_grpc.DeliveryServiceServicer):
    def __init__(self, engine: Engine, schema: str):
        self._engine = engine
        self._schema = schema

    @answered
    def ListDeliveries(self, request: pb.ListDeliveriesRequest) -> pb.ListDeliveriesResponse:  # noqa: N802
        with self._engine.connect() as connection:
            page = deliveries.find(
                connection, _filter(request.filter), _limit(request), request.before_id or None
            )
        found = [_message(row) for row in page.rows]
        return pb.ListDeliveriesResponse(deliveries=found, next_before_id=page.next)

    @answered
    def RetryDeliveries(self, request: pb.RetryDeliveriesRequest) -> pb.RetryDeliveriesResponse:  # noqa: N802
        page = self._change(deliveries.retry, request)
        return pb.RetryDeliveriesResponse(changed=map(_message, page.rows), next_after_id=page.next)

    @answered
    def CancelDeliveries(self, request: pb.CancelDeliveriesRequest) -> pb.CancelDeliveriesResponse:  # noqa: N802
        page = self._change(deliveries.cancel, request)
        return pb.CancelDeliveriesResponse(
            changed=map(_message, page.rows), next_after_id=page.next
        )

    def _change(
        self,
        change: Callable[..., Page],
        request: pb.RetryDeliveriesRequest | pb.CancelDeliveriesRequest,
    ) -> Page:
        with self._engine.begin() as connection:
            page = change(
                connection,
                self._schema,
                _filter(request.filter),
                _limit(request),
                request.after_id,
                dry_run=request.dry_run,
            )
        if page.rows and not request.dry_run:
            what = {"what": change.__name__, "deliveries": len(page.rows)}
            log.warning("changed by hand", extra=what)
        return page


def _filter(given: pb.DeliveryFilter) -> Filter:
    return Filter(
        subject_id=_uuid("subject_id", given.subject_id),
        event_id=_uuid("event_id", given.event_id),
        states=[_state(number) for number in given.states],
        kind=given.kind or None,
        recipient=given.recipient or None,
        ids=list(given.ids),
        since=_moment(given.since) if given.HasField("since") else None,
        until=_moment(given.until) if given.HasField("until") else None,
    )


def _uuid(name: str, value: str) -> str | None:
    try:
        return str(UUID(value)) if value else None
    except ValueError:
        raise InvalidField(f"{name} must be a UUID") from None


def _state(number: int) -> str:
    if number not in _STATES:
        raise InvalidField("states must be states of a delivery")
    return _STATES[number]


def _limit(request: Any) -> int:
    if not 0 <= request.page_size <= deliveries.MOST:
        raise InvalidField(f"page_size must be from 1 to {deliveries.MOST}")
    return int(request.page_size) or _PAGE


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)


def _message(row: Any) -> pb.Delivery:
    message = pb.Delivery(
        id=row.id,
        subject_id=row.event_key,
        event_id=row.event_id,
        kind=row.kind,
        recipient=row.recipient,
        state=pb.DeliveryState.ValueType(_NUMBERS[row.state]),
        attempts=row.attempts,
        last_error=row.last_error or "",
        leased_by=row.leased_by or "",
        topic=row.topic,
        partition=row.partition,
        offset=row.place,
    )
    for name in ("created_at", "due_at", "finished_at"):
        moment = getattr(row, name)
        if moment is not None:
            getattr(message, name).FromDatetime(moment)
    return message
