"""The ledgers of the notification services, asked over gRPC."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rollcall.deliveries.v1 import deliveries_pb2 as pb
from rollcall.deliveries.v1.deliveries_pb2_grpc import DeliveryServiceStub
from rollcall_cli.ask_services import call, channels
from rollcall_local.home import Home

_SERVICES = {"email": "email-notification", "slack": "slack-notification"}
_PREFIX = "DELIVERY_STATE_"
_PAGE = 200

Document = dict[str, Any]


def listed(home: Home, options: argparse.Namespace) -> list[Document]:
    """The newest first. Raises NotRunning, PlatformError."""
    request = pb.ListDeliveriesRequest(filter=_filter(options), page_size=options.lines)
    found: list[Document] = []
    for service, stub in _stubs(home, options):
        answer = call(_SERVICES[service], stub.ListDeliveries, request)
        found += [_document(service, delivery) for delivery in answer.deliveries]
    found.sort(key=lambda d: str(d["created_at"]), reverse=True)
    return found[: options.lines]


def changed(home: Home, options: argparse.Namespace) -> Iterator[list[Document]]:
    """What was changed, as it was before, call by call. Raises NotRunning, PlatformError."""
    retrying = options.action == "retry"
    make = pb.RetryDeliveriesRequest if retrying else pb.CancelDeliveriesRequest
    for service, stub in _stubs(home, options):
        rpc = stub.RetryDeliveries if retrying else stub.CancelDeliveries
        after: int | None = 0
        while after is not None:
            request = make(filter=_filter(options), page_size=_PAGE, after_id=after)
            request.dry_run = options.dry_run
            answer = call(_SERVICES[service], rpc, request)
            yield [_document(service, delivery) for delivery in answer.changed]
            after = answer.next_after_id if answer.HasField("next_after_id") else None


def _stubs(home: Home, options: argparse.Namespace) -> Iterator[tuple[str, DeliveryServiceStub]]:
    """Raises NotRunning."""
    names = [options.service] if options.service else list(_SERVICES)
    full = {_SERVICES[name]: name for name in names}
    for service, channel in channels(home, full):
        yield full[service], DeliveryServiceStub(channel)


def _filter(options: argparse.Namespace) -> pb.DeliveryFilter:
    states = [pb.DeliveryState.Value(_PREFIX + s.upper()) for s in options.state or ()]
    wanted = pb.DeliveryFilter(
        subject_id=options.user,
        event_id=options.event,
        ids=options.id or (),
        states=states,
        kind=options.kind,
        recipient=options.to,
    )
    for name in ("since", "until"):
        if getattr(options, name):
            getattr(wanted, name).FromDatetime(getattr(options, name))
    return wanted


def _document(service: str, delivery: pb.Delivery) -> dict[str, Any]:
    return {
        "service": service,
        "id": delivery.id,
        "state": pb.DeliveryState.Name(delivery.state).removeprefix(_PREFIX).lower(),
        "kind": delivery.kind,
        "recipient": delivery.recipient,
        "subject_id": delivery.subject_id,
        "event_id": delivery.event_id,
        "attempts": delivery.attempts,
        "last_error": delivery.last_error or None,
        "created_at": _time(delivery, "created_at"),
        "due_at": _time(delivery, "due_at"),
        "finished_at": _time(delivery, "finished_at"),
        "leased_by": delivery.leased_by or None,
        "position": {
            "topic": delivery.topic,
            "partition": delivery.partition,
            "offset": delivery.offset,
        },
    }


def _time(delivery: pb.Delivery, name: Any) -> str | None:
    if not delivery.HasField(name):
        return None
    found: datetime = getattr(delivery, name).ToDatetime(UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")
