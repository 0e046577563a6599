"""The one place where what went wrong becomes a gRPC status (the table is in commands.proto)."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from rollcall_events import LogUnavailable
from rollcall_events.postgres import is_store_trouble
from rollcall_user_management.commands.judging import CommandIdReused, EventTooLarge
from rollcall_user_management.commands.lanes import (
    LogNotSeen,
    OutcomeUnknown,
    Stalled,
    StoreBehindLog,
    TooManyWaiting,
)
from rollcall_user_management.commands.service import (
    MAX_COMMANDS,
    Busy,
    InFlight,
    PlaceNotKnown,
    StoreTooSlow,
    TooManyCommands,
)
from rollcall_user_management.commands.validation import InvalidFields
from rollcall_user_management.domain.errors import (
    DomainError,
    NotFound,
    Protected,
    SequenceParked,
    Taken,
    VersionMismatch,
)
from rollcall_user_management.queries.cursor import InvalidCursor
from rollcall_user_management.queries.fields import InvalidField
from rollcall_user_management.queries.positions import MomentNotReached, ReadStoreBehind, WrongTopic
from rollcall_user_management.readstore import NotServing

log = logging.getLogger(__name__)

_AT_ONCE = "1"  # milliseconds; grpcio 1.85 was seen not to try again after 0


@dataclass(frozen=True)
class Problem:
    code: StatusCode
    reason: str
    detail: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    fields: Sequence[tuple[str, str]] = ()


def _domain(code: StatusCode) -> Callable[[DomainError], Problem]:
    def problem(error: DomainError) -> Problem:
        fields = [(error.field, str(error))] if error.field else []
        return Problem(code, error.reason, str(error), error.metadata(), fields)

    return problem


_PROBLEMS: Mapping[type[BaseException], Callable[..., Problem]] = {
    InvalidFields: lambda e: Problem(
        StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "a field is invalid", fields=e.problems
    ),
    InvalidField: lambda e: Problem(
        StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "a field is invalid",
        fields=[(e.field, e.problem)],
    ),
    InvalidCursor: lambda e: Problem(
        StatusCode.INVALID_ARGUMENT, "INVALID_CURSOR", "the cursor is not of this question"
    ),
    WrongTopic: lambda e: Problem(
        StatusCode.INVALID_ARGUMENT, "WRONG_TOPIC", "a position is of another log"
    ),
    NotFound: _domain(StatusCode.NOT_FOUND),
    Taken: _domain(StatusCode.ALREADY_EXISTS),
    VersionMismatch: _domain(StatusCode.FAILED_PRECONDITION),
    SequenceParked: _domain(StatusCode.FAILED_PRECONDITION),
    Protected: _domain(StatusCode.FAILED_PRECONDITION),
    EventTooLarge: lambda e: Problem(
        StatusCode.RESOURCE_EXHAUSTED, "EVENT_TOO_LARGE", "the event would not fit into the log"
    ),
    CommandIdReused: lambda e: Problem(
        StatusCode.INVALID_ARGUMENT,
        "COMMAND_ID_REUSED",
        "an earlier command with this id was another one",
    ),
    TooManyCommands: lambda e: Problem(
        StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "too many commands in one call",
        fields=[("commands", f"must be at most {MAX_COMMANDS}")],
    ),
    InFlight: lambda e: Problem(
        StatusCode.ABORTED, "IN_FLIGHT", "an earlier command with this id is not in the log yet"
    ),
    TooManyWaiting: lambda e: Problem(
        StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", "too many commands wait; nothing was done"
    ),
    Stalled: lambda e: Problem(
        StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", "this replica stalled; nothing was done"
    ),
    NotServing: lambda e: Problem(StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", f"{e}"),
    PlaceNotKnown: lambda e: Problem(  # others may be asked, and it may have been done
        StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", "this replica starts; it was done"
    ),
    StoreTooSlow: lambda e: Problem(  # not UNAVAILABLE: asking again at once would wait again
        StatusCode.DEADLINE_EXCEEDED,
        "STORE_UNAVAILABLE",
        "Postgres does not answer; nothing was done",
    ),
    StoreBehindLog: lambda e: Problem(
        StatusCode.UNAVAILABLE,
        "STORE_BEHIND_LOG",
        "Postgres was restored or failed over and catches up with the log; nothing was done",
    ),
    OutcomeUnknown: lambda e: Problem(
        StatusCode.ABORTED, "OUTCOME_UNKNOWN", "admitted, but not known to be in the log yet"
    ),
    Busy: lambda e: Problem(
        StatusCode.ABORTED, "BUSY", "an earlier command on this, or on the same value, is not done"
    ),
    ReadStoreBehind: lambda e: Problem(
        StatusCode.DEADLINE_EXCEEDED, "READ_STORE_BEHIND", str(e), {"records": str(e.records)}
    ),
    MomentNotReached: lambda e: Problem(
        StatusCode.DEADLINE_EXCEEDED,
        "MOMENT_NOT_REACHED",
        str(e),
        {"reached": e.until.isoformat().replace("+00:00", "Z")} if e.until else {},
    ),
    LogNotSeen: lambda e: Problem(
        StatusCode.UNAVAILABLE, "LOG_UNAVAILABLE", "this replica starts; nothing was done"
    ),
    LogUnavailable: lambda e: Problem(
        StatusCode.UNAVAILABLE, "LOG_UNAVAILABLE", "Kafka is away; nothing was done"
    ),
}


def status_of(error: Exception) -> tuple[StatusCode, Status]:
    """The status of an error. One that nobody expected is logged and becomes INTERNAL."""
    problem = _problem(error)
    details: list[Message] = [
        ErrorInfo(reason=problem.reason, domain="rollcall", metadata=problem.metadata)
    ]
    if problem.fields:
        violations = [
            BadRequest.FieldViolation(field=name, description=text) for name, text in problem.fields
        ]
        details.append(BadRequest(field_violations=violations))
    code: int = problem.code.value[0]
    return problem.code, Status(code=code, message=problem.detail, details=map(_packed, details))


def trailing(error: Exception, status: Status) -> Sequence[tuple[str, str | bytes]]:
    """What goes with the status of a call: its details, and while the log is away that the next
    attempt need not wait (gRPC's proposal A6). A replica may take 1.6 s to notice that, by the
    command, and a client would be told late if pauses came on top. So an absence that is over
    within the pauses is not bridged by them, and who comes again sooner than Retry-After says is
    refused as soon."""
    details = ("grpc-status-details-bin", status.SerializeToString())
    if isinstance(error, LogUnavailable):
        return (details, ("grpc-retry-pushback-ms", _AT_ONCE))
    return (details,)


def _problem(error: Exception) -> Problem:
    maker = _PROBLEMS.get(type(error))
    if maker is not None:
        return maker(error)
    if is_store_trouble(error):
        log.warning("Postgres is away", extra={"reason": type(error).__name__})
        return Problem(
            StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", "Postgres is away; nothing was done"
        )
    log.error("unexpected", exc_info=error)
    return Problem(StatusCode.INTERNAL, "INTERNAL", "an unexpected error; see the log")


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
