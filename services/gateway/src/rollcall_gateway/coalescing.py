"""Concurrent commands of different requests in one call, because a call costs more than a command.

Two calls are in flight at once, the second with no fewer commands than the first. What comes
meanwhile waits, and goes all together. So a command alone goes at once, and the more there is to
do, the larger the groups become.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import grpc

from rollcall.users.v1.commands_pb2 import (
    Command,
    CommandOutcome,
    CommandResult,
    ExecuteCommandsRequest,
)
from rollcall.users.v1.commands_pb2_grpc import UserCommandServiceStub
from rollcall_gateway.failures import Code, Failure

# In flight, not counting those that hang: while one is answered another is on its way. More would
# be smaller, and a call costs what a dozen commands cost. For that, a small one does not leave
# beside a large one either, but waits until it returns.
CALLS = 2
HANGING_SECONDS = 0.05
MAX_COMMANDS = 128  # of a call
MAX_BYTES = 1024 * 1024
MAX_COMMAND_BYTES = 64 * 1024  # a larger one goes by itself

# Of a command among others: by itself it waits for an unsettled neighbour, and is tried on other
# replicas, which may have the log and the store.
_TRY_ALONE = {Code.ABORTED, Code.UNAVAILABLE}
# Of a whole call: a command that breaks it, or answers too large together, must not be the
# others' fault.
_TRY_EACH = {Code.INTERNAL, Code.RESOURCE_EXHAUSTED, Code.UNKNOWN}
# A repetition that fails so has told nothing about what it repeats.
_TELLS_NOTHING = {Code.ABORTED, Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE}


@dataclass(slots=True)
class _Failed:
    failure: Failure
    try_alone: bool


@dataclass(slots=True)
class _Waiting:
    command: Command
    size: int
    deadline: float
    outcome: asyncio.Future[CommandResult | _Failed]


@dataclass(eq=False, slots=True)
class _Call:
    commands: int


class Coalescer:
    """Carries commands to user-management; made and used on one event loop."""

    def __init__(self, channel: grpc.aio.Channel):
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._stub = UserCommandServiceStub(channel)
        self._rpcs: dict[str | None, Callable[..., Awaitable[CommandResult]]] = {
            "create_user": self._stub.CreateUser,
            "update_user": self._stub.UpdateUser,
            "delete_user": self._stub.DeleteUser,
            "assign_role": self._stub.AssignRole,
            "unassign_role": self._stub.UnassignRole,
            "create_role": self._stub.CreateRole,
            "update_role": self._stub.UpdateRole,
            "delete_role": self._stub.DeleteRole,
        }
        self._waiting: deque[_Waiting] = deque()
        self._in_flight: dict[_Call, asyncio.TimerHandle] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._connections = 0  # made so far
        self._watching = self._loop.create_task(self._watch())

    async def execute(self, command: Command, seconds: float) -> CommandResult:
        """The command's result, after so many seconds at the most; else raises Failure. It may
        be sent several times, with the same id, and is done once."""
        deadline = self._loop.time() + seconds
        size = command.ByteSize()
        if size > MAX_COMMAND_BYTES:
            return await self._alone(command, deadline)
        if not self._in_flight:
            return await self._first(command, deadline)
        outcome = await self._together(command, size, deadline)
        if isinstance(outcome, CommandResult):
            return outcome
        if not outcome.try_alone:
            raise outcome.failure
        return await self._again(command, deadline, outcome.failure)

    async def close(self) -> None:
        """Ends what is in flight; what waits is not sent any more."""
        for waiting in self._waiting:
            waiting.outcome.cancel()
        tasks = [self._watching, *self._sending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _first(self, command: Command, deadline: float) -> CommandResult:
        call = self._begin(1)
        try:
            return await self._alone(command, deadline)
        finally:
            self._end(call)

    async def _alone(self, command: Command, deadline: float) -> CommandResult:
        kind = command.WhichOneof("command")
        reached = self._reached()
        try:
            return await self._rpcs[kind](getattr(command, str(kind)), timeout=self._left(deadline))
        except grpc.aio.AioRpcError as error:
            raise Failure.of_call(error, sent=self._perhaps_sent(reached)) from None

    async def _again(self, command: Command, deadline: float, first: Failure) -> CommandResult:
        try:
            return await self._alone(command, deadline)
        except Failure as second:
            told = second.code not in _TELLS_NOTHING or (second.in_doubt and second.reason)
            itself = first.reason != "IN_FLIGHT" and second.reason == "IN_FLIGHT"
            raise second if (told and not itself) or not first.in_doubt else first from None

    def _together(
        self, command: Command, size: int, deadline: float
    ) -> asyncio.Future[CommandResult | _Failed]:
        """A request that is cancelled while it awaits this leaves the queue."""
        outcome: asyncio.Future[CommandResult | _Failed] = self._loop.create_future()
        self._waiting.append(_Waiting(command, size, deadline, outcome))
        if len(self._waiting) == self._enough():
            self._loop.call_soon(self._send_waiting)  # with all that comes in this turn of the loop
        return outcome

    def _enough(self) -> int:
        """How many commands another call has to carry now; more than can wait if it may not be."""
        if len(self._in_flight) >= CALLS:
            return sys.maxsize
        return max((call.commands for call in self._in_flight), default=1)

    def _send_waiting(self) -> None:
        while len(self._waiting) >= self._enough():
            group = self._next_group()
            if group:
                task = self._loop.create_task(self._send(group, self._begin(len(group))))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        room = MAX_BYTES
        while self._waiting and len(group) < MAX_COMMANDS and self._waiting[0].size <= room:
            waiting = self._waiting.popleft()
            if not waiting.outcome.done():
                group.append(waiting)
                room -= waiting.size
        return group

    async def _send(self, group: list[_Waiting], call: _Call) -> None:
        try:
            outcomes = await self._outcomes(group)
            self._end(call)  # before the answers are made: the next call is on its way meanwhile
            for waiting, outcome in zip(group, outcomes, strict=True):
                if not waiting.outcome.done():
                    waiting.outcome.set_result(outcome)
        finally:
            self._end(call)
            for waiting in group:
                waiting.outcome.cancel()  # nobody waits for ever; an outcome that is set stays

    async def _outcomes(self, group: list[_Waiting]) -> Iterable[CommandResult | _Failed]:
        """Of a whole call that failed: the same for all."""
        request = ExecuteCommandsRequest(commands=[waiting.command for waiting in group])
        reached = self._reached()
        try:
            # The first has waited longest. The others' deadlines are little later.
            timeout = self._left(group[0].deadline)
            answer = await self._stub.ExecuteCommands(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            sent = self._perhaps_sent(reached)
            return [_of_call(error, sent=sent) for _ in group]
        return map(_read, answer.outcomes)

    def _begin(self, commands: int) -> _Call:
        call = _Call(commands)
        self._in_flight[call] = self._loop.call_later(HANGING_SECONDS, self._end, call)
        return call

    def _end(self, call: _Call) -> None:
        """It has returned, or hangs: either way it holds up nobody any more."""
        timer = self._in_flight.pop(call, None)
        if timer is not None:
            timer.cancel()
            self._send_waiting()

    def _reached(self) -> tuple[bool, int]:
        """Whether somebody is there, and how often somebody came."""
        state = self._channel.get_state()
        return state is grpc.ChannelConnectivity.READY, self._connections

    def _perhaps_sent(self, before: tuple[bool, int]) -> bool:
        """Whether anybody was there since then: also who came and died, as far as was seen."""
        return before[0] or self._reached() != before

    async def _watch(self) -> None:
        while True:
            state = self._channel.get_state()
            self._connections += state is grpc.ChannelConnectivity.READY
            await self._channel.wait_for_state_change(state)

    def _left(self, deadline: float) -> float:
        return deadline - self._loop.time()


def _of_call(error: grpc.aio.AioRpcError, *, sent: bool) -> _Failed:
    failure = Failure.of_call(error, sent=sent)
    try_alone = not failure.reason and failure.code in _TRY_EACH
    failure.in_doubt = failure.in_doubt or try_alone
    return _Failed(failure, try_alone)


def _read(outcome: CommandOutcome) -> CommandResult | _Failed:
    if outcome.HasField("result"):
        return outcome.result
    failure = Failure.of_outcome(outcome.error)
    return _Failed(failure, failure.code in _TRY_ALONE)
