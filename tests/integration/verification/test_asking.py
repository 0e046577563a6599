"""What operators ask of the log: timelines and verification, as the server answers them."""

import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import grpc
import pytest
from integration.verification.histories import History
from sqlalchemy import text

from rollcall.projections.v1 import projections_pb2 as pb
from rollcall.projections.v1.projections_pb2_grpc import ProjectionServiceStub
from rollcall.users.v1.queries_pb2 import HistoryEvent
from rollcall_events import EVENT_TYPES
from rollcall_events.ids import uuid7
from rollcall_local.ports import free_port
from rollcall_user_management.api.server import GrpcServer
from rollcall_user_management.generations.service import projection_service
from rollcall_user_management.verification.methods import verification_methods

Shown = tuple[Any, ...]


@pytest.fixture
def stub(history: History) -> Iterator[ProjectionServiceStub]:
    async def unasked(request: Any) -> Any:
        raise AssertionError(request)

    methods = verification_methods(history.store, history.settings, history.group)
    port = free_port()
    services = [projection_service(methods)]
    server = GrpcServer("127.0.0.1", port, unasked, unasked, unasked, services)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield ProjectionServiceStub(channel)
    server.stop()


def shown(event: HistoryEvent) -> Shown:
    return (
        (event.partition, event.offset, event.id, event.type.rpartition(".")[2]),
        event.version or None,
        event.rejected or None,
        _plain(event.changes),
        event.recorded_at.ToDatetime(UTC),
        event.actor or None,
    )


def stored(history: History, key: str) -> list[Shown]:
    asked = text(
        "SELECT *, changes::text AS changed FROM history WHERE key = cast(:key AS uuid)"
        ' ORDER BY "offset"'
    )
    with history.store.connect() as connection:
        return [
            (
                (row.partition, row.offset, str(row.event_id), row.type.rpartition(".")[2]),
                row.version,
                row.rejected,
                _plain(row.changed),
                row.recorded_at,
                row.actor,
            )
            for row in connection.execute(asked, {"key": key})
        ]


def _plain(changes: str) -> Any:
    """With one form of numbers: a large one has many."""
    return json.loads(changes, parse_int=float)


def test_timelines_and_verification_are_answered(
    history: History, stub: ProjectionServiceStub
) -> None:
    assert_timelines_are_those_of_the_read_store(history, stub)
    assert_what_is_held_is_shown_to_wait(history, stub)
    assert_wrong_questions_are_refused(stub)
    *_, last = stub.Verify(pb.VerifyRequest())
    assert (last.done, last.compared == last.records > 150, last.parked) == (True, True, 1)


def assert_timelines_are_those_of_the_read_store(
    history: History, stub: ProjectionServiceStub
) -> None:
    for key in (*history.users[1:], *history.roles):
        told = list(stub.ReadTimeline(pb.ReadTimelineRequest(key=key)))
        assert list(map(shown, told)) == stored(history, key)
        for event in told:
            of = EVENT_TYPES.get(event.type)  # a stranger's event may be of the other collection
            assert event.subject == (f"{of.collection}/{key}" if of else "")


def assert_what_is_held_is_shown_to_wait(history: History, stub: ProjectionServiceStub) -> None:
    parked = history.users[0]
    told = list(stub.ReadTimeline(pb.ReadTimelineRequest(key=parked)))
    assert list(map(shown, told[:-2])) == stored(history, parked)
    failed, behind = told[-2:]
    assert failed.rejected.startswith("not applied: unknown event type")
    assert behind.rejected == f"not applied: waits behind {failed.partition}/{failed.offset}"


def assert_wrong_questions_are_refused(stub: ProjectionServiceStub) -> None:
    for key, code in (
        ("x", grpc.StatusCode.INVALID_ARGUMENT),
        (uuid7(), grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            list(stub.ReadTimeline(pb.ReadTimelineRequest(key=key)))
        assert refused.value.code() is code
