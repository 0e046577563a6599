"""What the log says, asked of user-management over gRPC."""

import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from rollcall.projections.v1 import projections_pb2 as pb
from rollcall.projections.v1.projections_pb2_grpc import ProjectionServiceStub
from rollcall.users.v1.queries_pb2 import HistoryEvent
from rollcall_cli.ask_services import channel, stream
from rollcall_local.home import Home

_SERVICE = "user-management"
_TOPIC = "users"

Document = dict[str, Any]


def verification(home: Home) -> Iterator[pb.VerifyProgress]:
    """Its progress, as it comes; the last is `done`. Raises NotRunning, PlatformError."""
    with channel(home, _SERVICE) as opened:
        rpc = ProjectionServiceStub(opened).Verify
        yield from stream(_SERVICE, rpc, pb.VerifyRequest())


def difference(found: pb.Difference) -> Document:
    return {
        "table": found.table,
        "key": found.key or None,
        "position": {"topic": _TOPIC, "partition": found.partition, "offset": found.offset},
        "column": found.column or None,
        "expected": _value(found, "expected"),
        "found": _value(found, "found"),
    }


def timeline(home: Home, key: str) -> Iterator[Document]:
    """The events of a user or role as the log has them, in the API's form, but without the names of
    actors. Raises NotRunning, NotThere, PlatformError."""
    with channel(home, _SERVICE) as opened:
        rpc = ProjectionServiceStub(opened).ReadTimeline
        yield from map(_event, stream(_SERVICE, rpc, pb.ReadTimelineRequest(key=key)))


def _event(event: HistoryEvent) -> Document:
    return {
        "id": event.id or None,
        "type": event.type or None,
        "version": event.version or None,
        "recorded_at": _time(event, "recorded_at"),
        "occurred_at": _time(event, "occurred_at"),
        "actor": {"id": event.actor, "name": None} if event.actor else None,
        "correlation_id": event.correlation_id or None,
        "causation_id": event.causation_id or None,
        "subject": event.subject or None,
        "rejected": event.rejected or None,
        "changes": json.loads(event.changes),
        "position": {"topic": _TOPIC, "partition": event.partition, "offset": event.offset},
    }


def _time(event: HistoryEvent, name: Any) -> str:
    moment = getattr(event, name).ToDatetime(UTC)
    return str(moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"))


def _value(found: pb.Difference, name: Any) -> Any:
    """What JSON says, or the text itself where it was too long to come whole."""
    if not found.HasField(name):
        return None
    try:
        return json.loads(getattr(found, name))
    except ValueError:
        return getattr(found, name)
