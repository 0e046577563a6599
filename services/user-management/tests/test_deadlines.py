"""A query waits for its positions and for its moment, and no longer for both than for one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_user_management.queries import service
from rollcall_user_management.queries.positions import MomentNotReached
from rollcall_user_management.queries.service import QueryService

SPENT = 0.05  # seconds


class Slow:
    """Positions that are passed late, and a moment that is never reached."""

    def __init__(self) -> None:
        self.left = 0.0

    async def passed(self, after: Sequence[pb.Position], deadline: float) -> None:
        await asyncio.sleep(SPENT)

    async def reached(
        self, moment: datetime, deadline: float, ask: Callable[[], Awaitable[None]]
    ) -> None:
        self.left = deadline
        raise MomentNotReached(None)


def test_what_was_waited_for_the_positions_is_not_waited_for_the_moment_again() -> None:
    positions = Slow()
    live: Any = SimpleNamespace(engine=None, positions=positions)
    with ThreadPoolExecutor(1) as executor:
        answer = QueryService(lambda: live, executor).answer(
            pb.ListUsersRequest(at=Timestamp(seconds=1))
        )
        with pytest.raises(MomentNotReached):
            asyncio.run(answer)
    assert 0 < positions.left <= service.DEADLINE - SPENT
