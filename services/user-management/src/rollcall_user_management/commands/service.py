"""The way of a command, from its request to its acknowledgement."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Engine

from rollcall.users.v1 import commands_pb2 as commands
from rollcall_events import LogUnavailable, NotAcknowledged, Publisher, Recorded
from rollcall_user_management.admission.append import append
from rollcall_user_management.admission.store import Admission, Kept, kept
from rollcall_user_management.commands.answers import acknowledged, unchanged
from rollcall_user_management.commands.attempt import OutcomeUnknown, Unchanged, Wait, attempt
from rollcall_user_management.commands.validation import validated

DEADLINE = 8.0  # seconds for a command, less than the gateway waits
FIRST_PAUSE, LAST_PAUSE = 0.003, 0.05  # seconds between attempts while a neighbour is unsettled


T = TypeVar("T")


class Busy(Exception):
    """Nothing was done: an unsettled neighbour did not settle in time."""


class CommandService:
    """Handles commands; blocking work runs on `executor`.

    mark: told of every admission that is in the log. topic_id: Kafka's id of the topic, None
    while it is not known yet.
    """

    def __init__(
        self,
        engine: Engine,
        publisher: Publisher,
        executor: Executor,
        mark: Callable[[str, Recorded], None],
        topic_id: Callable[[], str | None],
    ):
        self._engine = engine
        self._publisher = publisher
        self._executor = executor
        self._mark = mark
        self._topic_id = topic_id

    async def handle(self, command: Any) -> commands.CommandResult:
        """The answer of a command, once its event is in the log.

        Raises InvalidFields, DomainError, EventTooLarge, LogUnavailable, OutcomeUnknown, Busy,
        or the store's errors.
        """
        command = validated(command)
        end = time.monotonic() + DEADLINE
        pause = FIRST_PAUSE
        while True:
            topic_id = self._topic_id()
            if topic_id is None or not self._publisher.available:
                return await self._without_log(command, topic_id, end)
            outcome = await self._attempt(command, end)
            match outcome:
                case Admission():
                    recorded = await self._append(outcome, end)
                    return acknowledged(outcome.answer, topic_id, recorded)
                case Kept(recorded=Recorded() as recorded):
                    return acknowledged(outcome.answer, topic_id, recorded)
                case Unchanged():
                    return unchanged(outcome.state, topic_id)
                case Wait(again=True) if time.monotonic() < end:
                    continue
            if time.monotonic() + pause > end:
                raise OutcomeUnknown if isinstance(outcome, Kept) else Busy
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LAST_PAUSE)

    async def _without_log(
        self, command: Any, topic_id: str | None, end: float
    ) -> commands.CommandResult:
        """While Kafka is known to be away nothing is admitted; what was, keeps its answer."""
        earlier = await self._in_thread(end, self._kept, command.context.command_id)
        if earlier is None:
            raise LogUnavailable("no broker answers")
        if topic_id is None or earlier.recorded is None:
            raise OutcomeUnknown
        return acknowledged(earlier.answer, topic_id, earlier.recorded)

    def _kept(self, command_id: str) -> Kept | None:
        with self._engine.connect() as connection:
            return kept(connection, command_id)

    async def _attempt(self, command: Any, end: float) -> Admission | Kept | Unchanged | Wait:
        try:
            return await self._in_thread(end, attempt, self._engine, self._publisher, command)
        except TimeoutError as error:  # Postgres hangs; it may admit the command yet
            raise OutcomeUnknown from error

    async def _in_thread(self, end: float, call: Callable[..., T], *arguments: Any) -> T:
        async with asyncio.timeout(end - time.monotonic()):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, partial(call, *arguments))

    async def _append(self, admission: Admission, end: float) -> Recorded:
        try:
            future = append(self._publisher, self._mark, admission.event_id, admission.record)
            async with asyncio.timeout(end - time.monotonic()):
                return await asyncio.wrap_future(future)
        except (LogUnavailable, NotAcknowledged, TimeoutError) as error:
            raise OutcomeUnknown from error
