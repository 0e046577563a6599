"""The spans of a command, from its call to Kafka's acknowledgement, and what it is measured by."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.trace import StatusCode
from prometheus_client import REGISTRY
from support.spans import Recorded as Recording
from support.spans import above, id_of, recording

from rollcall.users.v1.commands_pb2 import (
    Command,
    CommandContext,
    CreateUserRequest,
    ExecuteCommandsRequest,
)
from rollcall_events import NotAcknowledged, Position, Recorded
from rollcall_user_management.api.server import executing
from rollcall_user_management.api.serving import Serving
from rollcall_user_management.commands.tickets import Ticket

ABOVE = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
SAMPLED = f"00-{ABOVE}-01"
METHOD = "rollcall.users.v1.UserCommandService/CreateUser"


def command(traceparent: str = SAMPLED) -> CreateUserRequest:
    context = CommandContext(command_id="c", traceparent=traceparent)
    return CreateUserRequest(context=context, user_id="u", email="ada@example.com", name="Ada")


@pytest.fixture
def recorded() -> Iterator[Recording]:
    with recording() as recorded:
        yield recorded


@pytest.fixture
def future() -> Iterator[asyncio.Future[Any]]:
    loop = asyncio.new_event_loop()
    yield loop.create_future()
    loop.close()


def ended(error: Exception | None = None) -> Future[Recorded]:
    future: Future[Recorded] = Future()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(Recorded(Position("users", 7, 42), datetime(2026, 5, 4, tzinfo=UTC)))
    return future


def test_a_served_command_goes_on_below_its_span(recorded: Recording) -> None:
    asked = command()
    Serving(METHOD, asked).end("OK")
    span = recorded.spans()[METHOD]
    assert above(span) == ABOVE
    assert asked.context.traceparent.split("-")[2] == id_of(span)


@pytest.mark.parametrize(
    ("status", "ours"), [("ALREADY_EXISTS", False), ("ABORTED", False), ("UNAVAILABLE", True)]
)
def test_only_our_own_faults_are_errors(status: str, ours: bool, recorded: Recording) -> None:
    Serving(METHOD, command()).end(status)
    span = recorded.spans()[METHOD]
    assert (span.attributes or {})["rpc.response.status_code"] == status
    assert (span.status.status_code is StatusCode.ERROR) == ours


def test_everything_is_measured_traced_or_not() -> None:
    labels = {"rpc_method": METHOD, "rpc_response_status_code": "OUT_OF_RANGE"}
    Serving(METHOD, command("")).end("OUT_OF_RANGE")
    Serving(METHOD, object()).end("OUT_OF_RANGE")
    assert REGISTRY.get_sample_value("rpc_server_call_duration_seconds_count", labels) == 2


def test_an_event_carries_its_send_span(recorded: Recording, future: asyncio.Future[Any]) -> None:
    asked = command()
    ticket = Ticket(asked, future)
    assert ticket.spans is not None
    ticket.spans.judging("users")
    carried = ticket.command.context.traceparent
    ticket.spans.stored(3)
    ticket.spans.appending("e", ended)
    ticket.spans.end()
    admission, sent = recorded.spans()["admission"], recorded.spans()["send users"]
    assert above(admission) == above(sent) == ABOVE
    assert carried.split("-")[2] == id_of(sent)
    assert (admission.attributes or {})["rollcall.admission.group_size"] == 3
    assert [event.name for event in sent.events] == ["admitted"]
    assert asked.context.traceparent == SAMPLED, "another attempt begins as this one did"


def test_a_command_that_is_refused_sends_nothing(
    recorded: Recording, future: asyncio.Future[Any]
) -> None:
    ticket = Ticket(command(), future)
    assert ticket.spans is not None
    ticket.spans.judging("users")
    ticket.spans.end()
    assert recorded.spans().keys() == {"admission"}


def test_an_event_that_is_not_acknowledged_is_an_error(
    recorded: Recording, future: asyncio.Future[Any]
) -> None:
    ticket = Ticket(command(), future)
    assert ticket.spans is not None
    ticket.spans.judging("users")
    ticket.spans.stored(1)
    ticket.spans.appending("e", lambda: ended(NotAcknowledged("_MSG_TIMED_OUT")))
    assert recorded.spans()["send users"].status.status_code is StatusCode.ERROR


def test_who_is_not_traced_is_not_copied(future: asyncio.Future[Any]) -> None:
    asked = command("")
    ticket = Ticket(asked, future)
    assert ticket.spans is None
    assert ticket.command is asked


@pytest.mark.parametrize(
    ("error", "status"), [(asyncio.CancelledError(), "CANCELLED"), (LookupError(), "INTERNAL")]
)
def test_commands_of_a_call_that_ends_early_are_measured_and_traced(
    error: BaseException, status: str, recorded: Recording
) -> None:
    async def ends_early(commands: Sequence[Any]) -> Sequence[Any]:
        raise error

    async def call() -> None:
        await executing(ends_early)(request)

    labels = {"rpc_method": METHOD, "rpc_response_status_code": status}
    before = REGISTRY.get_sample_value("rpc_server_call_duration_seconds_count", labels) or 0
    request = ExecuteCommandsRequest(commands=[Command(create_user=command())] * 2)
    with pytest.raises(type(error)):
        asyncio.run(call())
    after = REGISTRY.get_sample_value("rpc_server_call_duration_seconds_count", labels)
    assert after == before + 2
    assert len(recorded.exporter.get_finished_spans()) == 2
