"""The way of a command, from its request to its acknowledgement."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from rollcall.users.v1 import commands_pb2 as commands
from rollcall_events import Publisher
from rollcall_user_management.admission.transaction import Answered, Kept
from rollcall_user_management.commands.answers import acknowledged
from rollcall_user_management.commands.judging import Wait, question_of
from rollcall_user_management.commands.lanes import (
    Acknowledged,
    Lanes,
    OutcomeUnknown,
    TooManyWaiting,
)
from rollcall_user_management.commands.tickets import Stage, Ticket
from rollcall_user_management.commands.validation import validated

DEADLINE = 8.0  # seconds for a command, less than the gateway waits
PATIENCE = 1.5  # seconds for one attempt at Postgres, which takes milliseconds when it is well
LOOK = 0.2  # seconds between looks at whether Kafka is still there
FIRST_PAUSE, LAST_PAUSE = 0.003, 0.02  # seconds between attempts while a neighbour is unsettled
MAX_COMMANDS = 256  # in one call


class Busy(Exception):
    """Nothing was done: an unsettled neighbour did not settle in time."""


class InFlight(Exception):
    """An earlier command with the same id is admitted, and not known to be in the log."""


class PlaceNotKnown(Exception):
    """The event is in the log, and this replica, which starts, cannot say where yet."""


class StoreTooSlow(Exception):
    """Nothing was done: Postgres did not answer in time."""


class TooManyCommands(Exception):
    """More in one call than MAX_COMMANDS."""


Outcome = commands.CommandResult | Exception


class CommandService:
    """Handles commands. topic_id: Kafka's id of the topic, None while it is not known yet."""

    def __init__(
        self,
        lanes: Lanes,
        publisher: Publisher,
        topic_id: Callable[[], str | None],
    ):
        self._lanes = lanes
        self._publisher = publisher
        self._topic_id = topic_id
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def handle(self, command: Any) -> commands.CommandResult:
        """The answer of a command, once its event is in the log. Waits for unsettled neighbours.

        Raises InvalidFields, DomainError, CommandIdReused, EventTooLarge, LogUnavailable,
        LogNotSeen, StoreBehindLog, Stalled, StoreTooSlow, OutcomeUnknown, InFlight, Busy,
        TooManyWaiting, PlaceNotKnown, or the store's errors.
        """
        command = validated(command)
        end = time.monotonic() + DEADLINE
        (outcome,) = await self._attempt([command], end)
        if self._waits(outcome):
            async with self._line(question_of(command).key, end) as first:
                if first:
                    outcome = await self._until_settled(command, end)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @asynccontextmanager
    async def _line(self, key: str, end: float) -> AsyncIterator[bool]:
        """Those who wait for one aggregate go in the order of their coming, and one of them asks
        at a time. Yields whether it was one's turn in time."""
        line = self._lines.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout(end - time.monotonic()):
                await line.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            line.release()

    async def _until_settled(self, command: Any, end: float) -> Outcome:
        pause = FIRST_PAUSE
        while True:
            (outcome,) = await self._attempt([command], end)
            if not self._waits(outcome) or time.monotonic() + pause > end:
                return outcome
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LAST_PAUSE)

    def _waits(self, outcome: Outcome) -> bool:
        return isinstance(outcome, (Busy, InFlight)) and self._publisher.available

    async def handle_all(self, commands_: Sequence[Any]) -> list[Outcome]:
        """The outcomes of several commands, which do not wait for unsettled neighbours."""
        if len(commands_) > MAX_COMMANDS:
            raise TooManyCommands
        outcomes: list[Outcome | None] = []
        valid = []
        for command in commands_:
            try:
                command = validated(command)
            except Exception as error:  # noqa: BLE001  (one command's answer)
                outcomes.append(error)
                continue
            if question_of(command).key in self._lines:
                outcomes.append(Busy())
            else:
                valid.append(command)
                outcomes.append(None)
        attempted = iter(await self._attempt(valid, time.monotonic() + DEADLINE))
        return [next(attempted) if outcome is None else outcome for outcome in outcomes]

    async def _attempt(self, commands_: Sequence[Any], end: float) -> list[Outcome]:
        loop = asyncio.get_running_loop()
        tickets = [Ticket(command, loop.create_future()) for command in commands_]
        try:
            if tickets:
                self._lanes.submit(tickets)
                await self._ended(tickets, end)
        except TooManyWaiting as error:
            return [error for _ in tickets]
        finally:
            for ticket in tickets:  # where the caller is gone as well
                ticket.abandon()
                if ticket.spans is not None:
                    ticket.spans.end()
        return [self._outcome(ticket) for ticket in tickets]

    async def _ended(self, tickets: Sequence[Ticket], end: float) -> None:
        """Return when all have an outcome, or none is to be expected in time."""
        open_ = [ticket.future for ticket in tickets]
        patient = time.monotonic() + PATIENCE
        while open_:
            _, pending = await asyncio.wait(open_, timeout=LOOK)
            if not pending:
                return
            now = time.monotonic()
            open_ = [
                t.future
                for t in tickets
                if not t.future.done()
                and (now < end if t.stage is Stage.STORED else now < patient)
                and (t.stage is not Stage.STORED or self._publisher.available)
            ]

    def _outcome(self, ticket: Ticket) -> Outcome:
        if not ticket.future.done():
            return StoreTooSlow() if ticket.stage is Stage.ABANDONED else OutcomeUnknown()
        topic_id = self._topic_id()
        match ticket.future.result():
            case Acknowledged(answer=answer, recorded=recorded):
                return _with_position(answer, topic_id, recorded)
            case Kept(recorded=None):
                return InFlight()
            case Kept(answer=answer, recorded=recorded):
                return _with_position(answer, topic_id, recorded)
            case Answered(answer=answer):
                return commands.CommandResult.FromString(answer)
            case Wait():
                return Busy()
            case Exception() as error:
                return error
            case other:
                raise AssertionError(other)


def _with_position(answer: bytes, topic_id: str | None, recorded: Any) -> Outcome:
    if topic_id is None:
        return PlaceNotKnown()
    return acknowledged(answer, topic_id, recorded)
