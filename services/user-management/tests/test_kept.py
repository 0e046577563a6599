"""A kept answer of which this replica cannot say the place yet: its event is in the log."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from rollcall.users.v1 import commands_pb2
from rollcall_events import Position, Recorded
from rollcall_events.ids import uuid7
from rollcall_user_management.admission.transaction import Kept
from rollcall_user_management.api.errors import status_of
from rollcall_user_management.commands.lanes import Acknowledged
from rollcall_user_management.commands.service import CommandService, PlaceNotKnown
from rollcall_user_management.commands.tickets import Ticket

PLACE = Recorded(Position("users", 3, 7), datetime(2026, 1, 1, tzinfo=UTC))
KEPT = Kept(b"f", commands_pb2.CommandResult(id="u", version=1).SerializeToString(), PLACE)
ACKNOWLEDGED = Acknowledged(KEPT.answer, PLACE)


class Answering:
    """Lanes that answer every command so."""

    def __init__(self, verdict: object):
        self._verdict = verdict

    def submit(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            ticket.future.set_result(self._verdict)


async def handled(verdict: object, topic_id: str | None) -> commands_pb2.CommandResult:
    lanes: Any = Answering(verdict)
    publisher: Any = None
    context = commands_pb2.CommandContext(command_id="c", actor="users/a")
    command = commands_pb2.DeleteUserRequest(context=context, user_id=uuid7())
    return await CommandService(lanes, publisher, lambda: topic_id).handle(command)


@pytest.mark.parametrize("verdict", [KEPT, ACKNOWLEDGED])
def test_nobody_is_told_that_nothing_was_done(verdict: object) -> None:
    with pytest.raises(PlaceNotKnown) as refused:
        asyncio.run(handled(verdict, None))
    code, status = status_of(refused.value)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert code is grpc.StatusCode.UNAVAILABLE  # to be tried elsewhere
    assert info.reason == "STORE_UNAVAILABLE"  # which leaves it open
    assert "nothing was done" not in status.message


@pytest.mark.parametrize("verdict", [KEPT, ACKNOWLEDGED])
def test_the_answer_is_told_once_the_log_is_known(verdict: object) -> None:
    result = asyncio.run(handled(verdict, "topic"))
    assert (result.id, result.position.partition, result.position.offset) == ("u", 3, 7)
