"""Commands of different requests in one call: how many calls, and whose failure is whose."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import pytest

from rollcall.users.v1.commands_pb2 import Command, CommandResult
from rollcall_gateway import coalescing
from rollcall_gateway.clients import open_channel
from rollcall_gateway.coalescing import Coalescer
from rollcall_gateway.failures import Failure
from rollcall_gateway.testing import Memory, RefusedError, new_server

Code = grpc.StatusCode
Sent = asyncio.Task[CommandResult]

DEADLINE = 10.0  # seconds; of a command, unless a test says otherwise


def creation(number: int, padding: int = 0) -> Command:
    command = Command()
    request = command.create_user
    request.context.command_id = f"c{number}"
    request.user_id = f"user-{number}"
    request.email = f"u{number}@example.com"
    request.name = "Ada"
    request.locale = "x" * padding
    return command


def creations(count: int, padding: int = 0) -> list[Command]:
    return [creation(number, padding) for number in range(count)]


def busy() -> RefusedError:
    return RefusedError(Code.ABORTED, "BUSY")


@dataclass
class Stage:
    """A coalescer in front of one replica of the double."""

    memory: Memory
    coalescer: Coalescer

    def send(self, command: Command, seconds: float = DEADLINE) -> Sent:
        return asyncio.create_task(self.coalescer.execute(command, seconds))

    async def outcomes(self, commands: Iterable[Command]) -> list[str]:
        """Of commands sent at once: the id of what was made, or how it failed."""
        sent = [self.send(command) for command in commands]
        ended = await asyncio.gather(*sent, return_exceptions=True)
        return [e.id if isinstance(e, CommandResult) else _name(e) for e in ended]

    async def hang(self, *commands: Command) -> list[Sent]:
        """Each is in a call of its own, which the double holds."""
        self.memory.pause = self.memory.pause or asyncio.Event()
        tasks = []
        for command in commands:
            tasks.append(self.send(command))
            await self.arrived(command, 1)
        return tasks

    async def arrived(self, command: Command, times: int) -> None:
        command_id = command.create_user.context.command_id
        while self.times_sent()[command_id] < times:  # noqa: ASYNC110  (the double has no bell)
            await asyncio.sleep(0.001)

    async def hang_together(self, *commands: Command) -> tuple[asyncio.Event, list[Sent]]:
        """All of them are in one call, the only one, which the double holds until the event."""
        (alone,) = await self.hang(creation(99))
        first, self.memory.pause = self.memory.pause, asyncio.Event()
        tasks = [self.send(command) for command in commands]
        await self.arrived(commands[-1], 1)
        assert first is not None
        first.set()
        await alone
        held, self.memory.pause = self.memory.pause, None
        return held, tasks

    async def left(self) -> None:
        """Whatever was sent and does not wait has arrived: as this, which goes by itself."""
        await self.coalescer.execute(creation(100, padding=70_000), 10)

    def release(self) -> None:
        assert self.memory.pause is not None
        self.memory.pause.set()

    def times_sent(self) -> Counter[str]:
        return Counter(context.command_id for context in self.memory.contexts)


def _name(error: BaseException) -> str:
    assert isinstance(error, Failure)
    return error.reason or error.code.name


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    memory = Memory()
    server = new_server(memory)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(f"ipv4:127.0.0.1:{port}") as channel:
        coalescer = Coalescer(channel)
        yield Stage(memory, coalescer)
        await coalescer.close()
    await server.stop(None)


def on_stage(
    act: Callable[[Stage], Coroutine[Any, Any, None]], hanging_seconds: float = 60.0
) -> Callable[[], None]:
    """Makes a test of a coroutine; 10 s are for ever. On a busy machine any call may seem to hang,
    so by default none does."""

    async def run() -> None:
        async with staged() as stage, asyncio.timeout(10):
            await act(stage)

    def test() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(coalescing, "HANGING_SECONDS", hanging_seconds)
            asyncio.run(run())

    return test


impatient = partial(on_stage, hanging_seconds=coalescing.HANGING_SECONDS)


@on_stage
async def test_a_command_alone_goes_at_once_and_by_itself(stage: Stage) -> None:
    for number in range(5):
        result = await stage.coalescer.execute(creation(number), 10)
        assert result.id == f"user-{number}"
    assert stage.memory.groups == []


@on_stage
async def test_what_comes_while_calls_are_in_flight_goes_together(stage: Stage) -> None:
    assert await stage.outcomes(creations(100)) == [f"user-{n}" for n in range(100)]
    assert stage.memory.groups == [99]


@on_stage
async def test_a_small_call_does_not_leave_beside_a_large_one(stage: Stage) -> None:
    held, sent = await stage.hang_together(*creations(3))
    sent.append(stage.send(creation(3)))
    await stage.left()
    assert stage.memory.groups == [3]
    held.set()
    await asyncio.gather(*sent)
    assert stage.memory.groups == [3, 1]


@on_stage
async def test_calls_of_one_size_go_side_by_side(stage: Stage) -> None:
    held, sent = await stage.hang_together(*creations(3))
    for number in range(3, 6):
        sent.append(stage.send(creation(number)))
        await stage.left()
    await asyncio.gather(*sent[3:])
    assert stage.memory.groups == [3, 3]
    held.set()
    await asyncio.gather(*sent)


@on_stage
async def test_a_call_carries_so_many_commands_at_most(stage: Stage) -> None:
    await stage.outcomes(creations(300))
    assert sorted(stage.memory.groups) == [43, 128, 128]
    assert len(stage.memory.live) == 300


@on_stage
async def test_a_call_carries_so_many_bytes_at_most(stage: Stage) -> None:
    await stage.outcomes(creations(40, padding=60_000))
    assert sorted(stage.memory.groups) == [5, 17, 17]


@on_stage
async def test_a_large_command_goes_by_itself_and_waits_for_nobody(stage: Stage) -> None:
    sent = await stage.hang(creation(1), creation(2), creation(3, padding=70_000))
    assert stage.memory.groups == [1]
    stage.release()
    await asyncio.gather(*sent)


@impatient
async def test_calls_that_hang_hold_up_nobody(stage: Stage) -> None:
    hanging = await stage.hang(*creations(4))
    held, stage.memory.pause = stage.memory.pause, None
    started = asyncio.get_running_loop().time()
    assert len(await stage.outcomes(creation(n) for n in range(10, 20))) == 10
    assert asyncio.get_running_loop().time() - started < 1
    assert not any(task.done() for task in hanging)
    stage.memory.pause = held
    stage.release()
    await asyncio.gather(*hanging)


@on_stage
async def test_a_refused_command_is_refused_alone(stage: Stage) -> None:
    stage.memory.refusals["c5"] = [RefusedError(Code.ALREADY_EXISTS, "EMAIL_TAKEN")]
    outcomes = await stage.outcomes(creations(10))
    assert outcomes.pop(5) == "EMAIL_TAKEN"
    assert all(outcome.startswith("user-") for outcome in outcomes)
    assert stage.times_sent()["c5"] == 1


@on_stage
async def test_what_meets_a_neighbour_is_repeated_by_itself(stage: Stage) -> None:
    stage.memory.refusals["c5"] = [busy()]
    stage.memory.refusals["c6"] = [RefusedError(Code.UNAVAILABLE, "LOG_UNAVAILABLE")] * 3
    stage.memory.refusals["c7"] = [busy()] * 2
    outcomes = await stage.outcomes(creations(10))
    assert [n for n in range(10) if outcomes[n] != f"user-{n}"] == [7]
    assert outcomes[7] == "BUSY"
    sent = stage.times_sent()
    assert [sent[f"c{n}"] for n in range(4, 9)] == [1, 2, 4, 2, 1]
    assert stage.memory.groups == [9]


@on_stage
async def test_doubt_is_not_dispelled_by_a_repetition_that_does_nothing(stage: Stage) -> None:
    unknown = RefusedError(Code.ABORTED, "OUTCOME_UNKNOWN")
    in_flight = RefusedError(Code.ABORTED, "IN_FLIGHT")
    taken = RefusedError(Code.ALREADY_EXISTS, "EMAIL_TAKEN")
    lost = RefusedError(Code.DEADLINE_EXCEEDED, "INTERNAL")
    stage.memory.refusals["c2"] = [busy(), lost]
    stage.memory.refusals["c3"] = [unknown, in_flight]  # itself
    stage.memory.refusals["c4"] = [in_flight, lost]
    stage.memory.refusals["c5"] = [unknown, busy()]
    stage.memory.refusals["c6"] = [in_flight, busy()]
    stage.memory.refusals["c7"] = [in_flight, unknown]
    stage.memory.refusals["c8"] = [unknown, taken]
    stage.memory.refusals["c9"] = [unknown]
    outcomes = await stage.outcomes(creations(10))
    assert outcomes[2:] == [
        "DEADLINE_EXCEEDED", "OUTCOME_UNKNOWN", "IN_FLIGHT", "OUTCOME_UNKNOWN", "IN_FLIGHT",
        "OUTCOME_UNKNOWN", "EMAIL_TAKEN", "user-9",
    ]  # fmt: skip


@on_stage
async def test_a_call_that_fails_fails_for_each(stage: Stage) -> None:
    stage.memory.group_faults.append(RefusedError(Code.PERMISSION_DENIED, "NOT_NOW"))
    outcomes = await stage.outcomes(creations(10))
    assert outcomes == ["user-0", *["NOT_NOW"] * 9]


@on_stage
async def test_a_call_to_a_replica_that_is_away_is_repeated_as_it_was(stage: Stage) -> None:
    stage.memory.group_faults.extend([RefusedError(Code.UNAVAILABLE, "LOG_UNAVAILABLE")] * 2)
    assert await stage.outcomes(creations(2)) == ["user-0", "user-1"]
    assert stage.memory.groups == [1, 1, 1]
    assert stage.times_sent() == {"c0": 1, "c1": 3}


@on_stage
async def test_a_call_that_was_attempted_in_vain_is_not_begun_again(stage: Stage) -> None:
    """Of its commands by themselves: a client would be told only after twice the time."""
    stage.memory.group_faults.extend([RefusedError(Code.UNAVAILABLE, "INTERNAL")] * 5)
    assert await stage.outcomes(creations(2)) == ["user-0", "UNAVAILABLE"]
    assert stage.times_sent() == {"c0": 1, "c1": 5}


@on_stage
async def test_a_command_that_breaks_a_call_breaks_it_for_itself_only(stage: Stage) -> None:
    broken = RefusedError(Code.INTERNAL, "INTERNAL")
    stage.memory.group_faults.append(broken)
    stage.memory.refusals["c5"] = [broken]
    outcomes = await stage.outcomes(creations(10))
    assert outcomes.pop(5) == "INTERNAL"
    assert all(outcome.startswith("user-") for outcome in outcomes)


@on_stage
async def test_a_request_that_is_cancelled_leaves_the_queue(stage: Stage) -> None:
    hanging = await stage.hang(*creations(2))
    waiting = [stage.send(creation(n)) for n in (2, 3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    stage.release()
    assert (await waiting[1]).id == "user-3"
    await asyncio.gather(*hanging)
    assert stage.times_sent() == {"c0": 1, "c1": 1, "c3": 1}


@on_stage
async def test_a_cancelled_request_does_not_end_the_call_of_others(stage: Stage) -> None:
    (first,) = await stage.hang(creation(0))
    second, third = stage.send(creation(1)), stage.send(creation(2))
    await stage.arrived(creation(2), 1)
    first.cancel()
    second.cancel()
    stage.release()
    assert (await third).id == "user-2"


@impatient
async def test_each_request_ends_at_its_own_deadline(stage: Stage) -> None:
    started = asyncio.get_running_loop().time()
    patient = await stage.hang(*creations(2))
    hurried = [stage.send(creation(n), 0.3) for n in range(2, 10)]
    hurried.append(stage.send(creation(10, padding=70_000), 0.3))  # goes by itself
    ended = await asyncio.gather(*hurried, return_exceptions=True)
    assert asyncio.get_running_loop().time() - started < 2
    assert not any(task.done() for task in patient)
    assert {type(e) for e in ended} == {Failure}
    assert {(e.code, e.in_doubt) for e in ended if isinstance(e, Failure)} == {
        (Code.DEADLINE_EXCEEDED, True)
    }
    stage.release()
    await asyncio.gather(*patient)


@on_stage
async def test_a_repetition_has_what_is_left_of_the_time(stage: Stage) -> None:
    stage.memory.refusals["c1"] = [busy()]
    sent = await stage.hang(*creations(2))
    hung = asyncio.get_running_loop().time()
    await asyncio.sleep(0.6)  # of their time
    passed = asyncio.get_running_loop().time() - hung
    stage.release()
    await asyncio.gather(*sent)
    assert stage.times_sent()["c1"] == 2
    # gRPC rounds what it tells a server up, to hundredths of a second.
    assert stage.memory.seconds_left[-1] < DEADLINE - passed + 0.1


@on_stage
async def test_closing_leaves_nobody_waiting(stage: Stage) -> None:
    _, second = await stage.hang(*creations(2))
    third = stage.send(creation(2))
    await asyncio.sleep(0)
    await stage.coalescer.close()
    ended = await asyncio.gather(second, third, return_exceptions=True)
    assert {type(end) for end in ended} == {asyncio.CancelledError}
    assert stage.memory.groups == [1]
