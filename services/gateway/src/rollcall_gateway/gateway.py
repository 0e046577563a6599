"""What the handlers share: user-management's RPCs with their deadlines, and the tokens."""

from collections.abc import Iterable
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from msgspec import UnsetType

from rollcall.users.v1.commands_pb2 import Command, CommandContext, CommandResult
from rollcall.users.v1.queries_pb2 import ListRolesRequest, Position
from rollcall.users.v1.queries_pb2_grpc import UserQueryServiceStub
from rollcall_gateway import metrics, problems, rpc_errors, tracing
from rollcall_gateway.aggregate_ids import AggregateIds
from rollcall_gateway.call import Call
from rollcall_gateway.coalescing import Coalescer
from rollcall_gateway.exports import Exports
from rollcall_gateway.failures import Code, Failure
from rollcall_gateway.health import Readiness
from rollcall_gateway.idempotency import IDEMPOTENCY_KEY
from rollcall_gateway.ids import uuid7
from rollcall_gateway.tokens import ConsistencyTokens, InvalidTokenError, PageTokens, Positions
from rollcall_gateway.turns import Turns

# Seconds of a whole RPC, retries included.
COMMAND_DEADLINE = 10.0
QUERY_DEADLINE = 6.0
PROBE_DEADLINE = 1.0

CONSISTENCY_TOKEN = "Consistency-Token"  # noqa: S105  (a header's name)

# What user-management calls a field, where the API calls it something else.
_FIELD_NAMES = {
    "attributes_patch": "attributes",
    "cursor": "page_token",
    "expected_version": "If-Match",
    "query": "q",
    "user_id": "id",
}


Query = TypeVar("Query", bound=Message)
Found = TypeVar("Found", bound=Message)


class Gateway:
    def __init__(self, channel: grpc.aio.Channel, secret: bytes, document: bytes):
        self.queries = UserQueryServiceStub(channel)
        self.pages = PageTokens(secret)
        self.ids = AggregateIds()
        self.readiness = Readiness(channel)
        self.exports = Exports()
        self.document = document
        self._commands = Coalescer(channel)
        self._turns = Turns()
        self._tokens = ConsistencyTokens(secret)
        self._topic_id = ""  # as last seen in an answer; empty: none yet

    async def close(self) -> None:
        await self._commands.close()

    async def command(self, call: Call, command: Command) -> CommandResult:
        """Send a command once, in effect: its id is the same in each attempt."""
        await self._refuse_other_topic(call)
        if call.command_id is None:
            return await self._sent(call, command)
        async with self._turns.turn(call.command_id, COMMAND_DEADLINE) as first:
            if not first:
                raise problems.key_in_flight(IDEMPOTENCY_KEY)
            return await self._sent(call, command)

    async def _sent(self, call: Call, command: Command) -> CommandResult:
        kind = str(command.WhichOneof("command"))
        try:
            with tracing.command(call.trace, kind) as trace:
                context = CommandContext(
                    command_id=call.command_id or uuid7(),
                    actor=call.actor,
                    correlation_id=call.correlation_id,
                    traceparent=trace.traceparent,
                    tracestate=trace.tracestate,
                )
                getattr(command, kind).context.CopyFrom(context)
                result = await self._commands.execute(command, COMMAND_DEADLINE)
        except Failure as failure:
            raise _problem(failure, call, command=True) from None
        self._topic_id = result.position.topic_id or self._topic_id
        return result

    async def query(
        self, call: Call, rpc: "grpc.aio.UnaryUnaryMultiCallable[Query, Found]", request: Query
    ) -> Found:
        try:
            return await rpc(request, timeout=QUERY_DEADLINE)
        except grpc.aio.AioRpcError as error:
            raise _problem(Failure.of_call(error), call, command=False) from None

    def positions(self, call: Call) -> Positions | None:
        """Of the request's Consistency-Token."""
        given = call.headers.getlist(CONSISTENCY_TOKEN)
        if not given:
            return None
        try:
            (token,) = given
            return self._tokens.read(token)
        except ValueError:  # more than one header, or InvalidTokenError
            raise problems.bad_token(CONSISTENCY_TOKEN) from None

    def after(self, call: Call) -> list[Position]:
        return _messages(self.positions(call))

    def token(self, call: Call, position: Position | None = None) -> dict[str, str]:
        """The header of the answer: the request's positions and the command's own."""
        known = self.positions(call)
        if position is not None and position.topic_id:
            new = Positions(position.topic_id, {position.partition: position.offset})
            known = known.merge(new) if known and known.topic_id == new.topic_id else new
        return {CONSISTENCY_TOKEN: self._tokens.write(known)} if known else {}

    def cursor(self, page_token: str | UnsetType, question: bytes) -> bytes:
        try:
            return self.pages.read(page_token, question) if page_token else b""
        except InvalidTokenError:
            raise problems.bad_token("page_token") from None

    async def _refuse_other_topic(self, call: Call) -> None:
        """A command is not done and then answered with 400 because of its token, so a topic
        that is not known to be the right one is asked for first: by a query, at an offset that
        needs no waiting. An answer other than that tells nothing, and the command goes on."""
        positions = self.positions(call)
        if positions is None or positions.topic_id == self._topic_id:
            return
        probe = ListRolesRequest(page_size=1, after=_messages(positions, offset=0)[:1])
        try:
            await self.queries.ListRoles(probe, timeout=PROBE_DEADLINE)
        except grpc.aio.AioRpcError as error:
            failure = Failure.of_call(error)
            if failure.code is Code.UNAVAILABLE or failure.reason == "WRONG_TOPIC":
                raise _problem(failure, call, command=False) from None
        else:
            self._topic_id = positions.topic_id


def _messages(positions: Positions | None, offset: int | None = None) -> list[Position]:
    if positions is None:
        return []
    items: Iterable[tuple[int, int]] = sorted(positions.offsets.items())
    return [
        Position(
            topic_id=positions.topic_id, partition=p, offset=known if offset is None else offset
        )
        for p, known in items
    ]


def _problem(failure: Failure, call: Call, *, command: bool) -> problems.Problem:
    metrics.rpc_failed(failure.code.name, failure.reason)
    names = _FIELD_NAMES if "role_id" in call.path else {**_FIELD_NAMES, "role_id": "id"}
    keyed = call.command_id is not None
    return rpc_errors.to_problem(failure, command=command, keyed=keyed, names=names)
