"""The same command at once from many clients and at every replica: one event, one answer."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import TYPE_CHECKING

import grpc
from races.client import Api, Client
from races.log import creations
from races.report import Progress, Result, new_email

from rollcall.users.v1 import commands_pb2 as commands
from rollcall.users.v1.commands_pb2_grpc import UserCommandServiceStub
from rollcall_events.ids import uuid7

if TYPE_CHECKING:  # it exists for type checkers only
    from rollcall.users.v1.commands_pb2_grpc import UserCommandServiceAsyncStub as Stub

_AT_ONCE = 16
_DEADLINE = 10.0  # seconds of a call
_ACTOR = "services/races"


@dataclass
class _Seen:
    emails: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    commands: int = 0


async def run(
    api: Api, replicas: Sequence[str], kafka: str, rounds: int, progress: Progress
) -> Result:
    """Each round once through the gateway with one Idempotency-Key, and once straight at the
    replicas with one command id and a user id for every call; each then with another body."""
    seen = _Seen()
    async with api.clients(_AT_ONCE) as clients, _stubs(replicas) as stubs:
        for number in range(rounds):
            await _through_the_gateway(clients, seen)
            await _at_the_replicas(stubs, seen)
            progress.done(number + 1, rounds)
        seconds = progress.seconds
    found = await asyncio.to_thread(creations, kafka)
    for email in seen.emails:
        if found[email] != 1:
            seen.wrong.append(f"{email}: {found[email]} events in the log")
    once = sum(found[email] == 1 for email in seen.emails)
    figures = (
        f"{rounds} rounds, {_AT_ONCE} at once through the gateway and {_AT_ONCE} at "
        f"{len(replicas)} replicas: {len(seen.emails)} commands given {seen.commands} times, "
        f"{once} with one event; {seen.commands / seconds:.0f} requests/s"
    )
    return Result("one key", figures, seen.wrong)


async def _through_the_gateway(clients: Sequence[Client], seen: _Seen) -> None:
    body = {"email": new_email("key"), "name": "One"}
    key = {"Idempotency-Key": str(uuid.uuid4())}
    answers = await asyncio.gather(*(c.post("/v1/users", body, **key) for c in clients))
    answers.append(await clients[0].post("/v1/users", body, **key))
    shown = {(a.summary, a.headers.get("etag"), a.headers.get("location")) for a in answers}
    contents = {answer.content for answer in answers}
    if len(shown) > 1 or len(contents) > 1 or answers[0].status != 201:
        seen.wrong.append(f"{body['email']}: {len(contents)} answers, {shown}")
    other = await clients[0].post("/v1/users", body | {"name": "Other"}, **key)
    if other.status != 422:
        seen.wrong.append(f"{body['email']}: {other.summary} to another body with the key")
    seen.emails.append(body["email"])
    seen.commands += len(answers)


async def _at_the_replicas(stubs: Sequence["Stub"], seen: _Seen) -> None:
    email, command_id = new_email("key"), str(uuid.uuid4())
    calls = [_create(s, command_id, email) for s in islice(cycle(stubs), _AT_ONCE)]
    answers = await asyncio.gather(*calls)
    answers += [await _create(stub, command_id, email) for stub in stubs]
    if len(set(answers)) > 1 or not answers[0].startswith("id"):
        seen.wrong.append(f"{email}: {set(answers)}")
    others = [await _create(stub, command_id, email, name="Other") for stub in stubs]
    if set(others) != {"COMMAND_ID_REUSED"}:
        seen.wrong.append(f"{email}: {set(others)} to another body with the command id")
    seen.emails.append(email)
    seen.commands += len(answers)


async def _create(stub: "Stub", command_id: str, email: str, name: str = "One") -> str:
    """The result, or else the reason of the refusal."""
    request = commands.CreateUserRequest(
        context=commands.CommandContext(command_id=command_id, actor=_ACTOR),
        user_id=uuid7(),
        email=email,
        name=name,
    )
    try:
        return str(await stub.CreateUser(request, timeout=_DEADLINE))
    except grpc.aio.AioRpcError as error:
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        reused = b"COMMAND_ID_REUSED" in bytes(details)
        return "COMMAND_ID_REUSED" if reused else f"{error.code().name} {error.details()}"


@asynccontextmanager
async def _stubs(replicas: Sequence[str]) -> AsyncIterator[list["Stub"]]:
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(replica))
            for replica in replicas
        ]
        yield [UserCommandServiceStub(channel) for channel in channels]
