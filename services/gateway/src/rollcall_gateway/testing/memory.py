"""What all replicas of the double share, and how they refuse."""

import asyncio
import threading
import zlib
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from rollcall.users.v1 import commands_pb2, queries_pb2
from rollcall_gateway.testing.history import History

TOPIC_ID = "c2FtcGxlLXRvcGljLWlk"
PARTITIONS = 50

Context = grpc.aio.ServicerContext[Any, Any]
Aggregate = queries_pb2.User | queries_pb2.Role
Result = commands_pb2.CommandResult
Code = grpc.StatusCode


class RefusedError(Exception):
    """A domain error: its gRPC code, its reason, and what goes with it."""

    def __init__(
        self,
        code: Code,
        reason: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Mapping[str, str] | None = None,
    ):
        super().__init__(reason)
        self.code, self.reason = code, reason
        info = error_details_pb2.ErrorInfo(domain="rollcall", reason=reason, metadata=metadata)
        faults = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=text)
            for field, text in (violations or {}).items()
        ]
        self.details: list[Message] = [info]
        if faults:
            self.details.append(error_details_pb2.BadRequest(field_violations=faults))

    def status(self) -> status_pb2.Status:
        packed = [Packed() for _ in self.details]
        for target, detail in zip(packed, self.details, strict=True):
            target.Pack(detail)
        return status_pb2.Status(code=code_pb2.Code.Value(self.code.name), details=packed)

    async def abort(self, context: Context) -> NoReturn:
        details = self.status().SerializeToString()
        metadata: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", details)]
        if self.reason == "LOG_UNAVAILABLE":  # the next attempt need not wait
            metadata.append(("grpc-retry-pushback-ms", "1"))
        context.set_trailing_metadata(metadata)
        await context.abort(self.code, "")


class Memory:
    """What all replicas of the double share, and the handles by which a test makes it fail."""

    def __init__(self) -> None:
        self.live: dict[str, Aggregate] = {}
        self.deleted: set[str] = set()
        self.holders: dict[tuple[type[Aggregate], str], str] = {}  # of unique values
        self.history = History()
        self.offsets: dict[int, int] = {}
        self.answered: dict[str, tuple[bytes, Result]] = {}  # by command id, with the fingerprint
        self.contexts: deque[commands_pb2.CommandContext] = deque(maxlen=100)
        self.seconds_left: deque[float] = deque(maxlen=100)  # of commands by themselves
        self.groups: list[int] = []  # sizes of the calls of many commands
        self.faults: deque[RefusedError] = deque()  # of the next commands and queries
        self.refusals: dict[str, list[RefusedError]] = {}  # of commands, by their ids
        self.group_faults: deque[RefusedError] = deque()  # of the next calls of many commands
        self.pause: asyncio.Event | None = None  # each request waits for it
        self.entered = threading.Event()  # a request has come that far

    def get(self, kind: type[Aggregate], aggregate_id: str) -> Any:
        name = "USER" if kind is queries_pb2.User else "ROLE"
        found = self.live.get(aggregate_id)
        if isinstance(found, kind):
            return found
        gone = {"deleted_at": "2026-01-01T00:00:00Z"} if aggregate_id in self.deleted else {}
        raise RefusedError(Code.NOT_FOUND, f"{name}_NOT_FOUND", metadata=gone)

    def fail(self, command_id: str = "") -> None:
        """Where a test wants it."""
        if self.refusals.get(command_id):
            raise self.refusals[command_id].pop(0)
        if self.faults:
            raise self.faults.popleft()

    def all(self, kind: type[Aggregate]) -> list[Any]:
        return [a for a in self.live.values() if isinstance(a, kind)]

    def claim(self, aggregate: Aggregate, value: str, reason: str, field: str) -> None:
        key = (type(aggregate), value.lower())
        if self.holders.get(key, aggregate.id) != aggregate.id:
            raise RefusedError(Code.ALREADY_EXISTS, reason, violations={field: "is taken"})
        self.release(aggregate.id)
        self.holders[key] = aggregate.id
        self.live[aggregate.id] = aggregate

    def release(self, aggregate_id: str) -> None:
        old = self.live.pop(aggregate_id, None)
        if old is not None:
            value = old.email if isinstance(old, queries_pb2.User) else old.name
            del self.holders[type(old), value.lower()]

    def append(self, key: str) -> queries_pb2.Position:
        partition = zlib.crc32(key.encode()) % PARTITIONS
        self.offsets[partition] = self.offsets.get(partition, -1) + 1
        return queries_pb2.Position(
            topic_id=TOPIC_ID, partition=partition, offset=self.offsets[partition]
        )

    def require(self, after: Iterable[queries_pb2.Position]) -> None:
        for position in after:
            if position.topic_id != TOPIC_ID:
                raise RefusedError(Code.INVALID_ARGUMENT, "WRONG_TOPIC")
            missing = position.offset - self.offsets.get(position.partition, -1)
            if missing > 0 and position.offset > 0:
                metadata = {"records": str(missing)}
                raise RefusedError(Code.DEADLINE_EXCEEDED, "READ_STORE_BEHIND", metadata=metadata)
