"""The one place where a gRPC status becomes a problem.

user-management names its refusals in an ErrorInfo (see commands.proto). A status without one
comes from the transport: nobody there, too slow, too large.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from rollcall_gateway import problems
from rollcall_gateway.problems import FieldError, Problem

_DOMAIN = "rollcall"
_DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True)
class _Rule:
    status: int
    title: str
    detail: str
    field: str | None = None
    message: str = ""


_REASONS = {
    "INVALID_FIELD": _Rule(422, "Invalid field", "A field is not valid."),
    "INVALID_CURSOR": _Rule(
        400, "Invalid token", "The page_token is not of this list.", "page_token", "is not valid"
    ),
    "USER_NOT_FOUND": _Rule(404, "Not found", "There is no such user."),
    "ROLE_NOT_FOUND": _Rule(404, "Not found", "There is no such role."),
    "EMAIL_TAKEN": _Rule(
        409, "E-mail taken", "Another user has this e-mail.", "email", "is taken by another user"
    ),
    "ROLE_NAME_TAKEN": _Rule(
        409, "Name taken", "Another role has this name.", "name", "is taken by another role"
    ),
    "ID_TAKEN": _Rule(409, "Id taken", "The id has been used already."),
    "ROLE_PROTECTED": _Rule(409, "Role protected", "This role can't be renamed or deleted."),
    "VERSION_MISMATCH": _Rule(
        412, "Version mismatch", "It has changed since: read it again.", "If-Match", "is outdated"
    ),
    "EVENT_TOO_LARGE": _Rule(413, "Content too large", "The change is too large to be recorded."),
    "BUSY": _Rule(503, "Busy", "Others are changing it; nothing was done. Try again."),
    "LOG_UNAVAILABLE": _Rule(503, "Log unavailable", "The event log is away; nothing was done."),
    "STORE_UNAVAILABLE": _Rule(503, "Store unavailable", "The store is away; nothing was done."),
    "READ_STORE_BEHIND": _Rule(
        504, "Read store behind", "The read store has not reached the Consistency-Token yet."
    ),
}

_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: _Rule(400, "Malformed request", "It was not understood."),
    grpc.StatusCode.NOT_FOUND: _Rule(404, "Not found", "There is no such thing."),
    grpc.StatusCode.ALREADY_EXISTS: _Rule(409, "Conflict", "It exists already."),
    grpc.StatusCode.FAILED_PRECONDITION: _Rule(409, "Conflict", "Its state does not allow that."),
    grpc.StatusCode.PERMISSION_DENIED: _Rule(403, "Forbidden", "You may not do that."),
    grpc.StatusCode.RESOURCE_EXHAUSTED: _Rule(413, "Content too large", "It is too large."),
    grpc.StatusCode.ABORTED: _Rule(503, "Unavailable", "It could not be done now."),
    grpc.StatusCode.UNAVAILABLE: _Rule(503, "Unavailable", "User management can't be reached."),
    grpc.StatusCode.DEADLINE_EXCEEDED: _Rule(
        503, "Unavailable", "User management did not answer in time."
    ),
    grpc.StatusCode.CANCELLED: _Rule(503, "Unavailable", "User management stopped midway."),
}
# A query is small; it is its answer that the channel (clients.py) finds too large.
_QUERY_CODES = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: _Rule(
        422, "Invalid field", "The page is too large.", "page_size", "makes too large a page here"
    ),
}
_UNEXPECTED = _Rule(502, "Bad gateway", "User management failed.")

# After these nobody knows whether a command that was sent has been carried out.
_IN_DOUBT = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
}


def to_problem(
    error: grpc.aio.AioRpcError, *, command: bool, sent: bool, names: Mapping[str, str]
) -> Problem:
    """sent: somebody was there to take the request.
    names: what user-management calls a field → what the API calls it."""
    info, violations = _details(error)
    in_doubt = command and sent and not info.reason and error.code() in _IN_DOUBT
    if in_doubt or info.reason == "OUTCOME_UNKNOWN":
        return problems.outcome_unknown()
    if info.reason == "WRONG_TOPIC":
        return problems.wrong_topic()
    codes = _CODES if command else _CODES | _QUERY_CODES
    rule = _REASONS.get(info.reason) or codes.get(error.code(), _UNEXPECTED)
    return _problem(rule, info, _field_errors(rule, violations, names))


def reason(error: grpc.aio.AioRpcError) -> str:
    """What user-management calls its refusal; empty for an error of the transport."""
    return str(_details(error)[0].reason)


def _problem(rule: _Rule, info: error_details_pb2.ErrorInfo, errors: list[FieldError]) -> Problem:
    headers: dict[str, str] = {}
    members = _members(info.metadata)
    if rule.status == 503:
        headers["Retry-After"] = problems.RETRY_SECONDS
    if "current_version" in members:
        headers["ETag"] = f'"{members["current_version"]}"'
    kind = (info.reason or rule.title).lower().replace("_", "-").replace(" ", "-")
    detail = rule.detail
    if "records" in members:
        detail = f"The read store is {members['records']} records behind the Consistency-Token."
    return Problem(
        rule.status, kind, rule.title, detail, errors=errors, members=members, headers=headers
    )


def _members(metadata: Mapping[str, str]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if "deleted_at" in metadata:
        members["deleted_at"] = metadata["deleted_at"]
    for name in ("current_version", "records"):
        if metadata.get(name, "").isdecimal():
            members[name] = int(metadata[name])
    return members


def _field_errors(
    rule: _Rule, violations: error_details_pb2.BadRequest, names: Mapping[str, str]
) -> list[FieldError]:
    found = [
        FieldError(_public(v.field, names), v.description) for v in violations.field_violations
    ]
    if not found and rule.field:
        found.append(FieldError(rule.field, rule.message))
    return found


def _public(field: str, names: Mapping[str, str]) -> str:
    """`attributes_patch.a[0]` → `attributes.a[0]`."""
    for private, public in names.items():
        if field == private or field.startswith((f"{private}.", f"{private}[")):
            return public + field[len(private) :]
    return field


def _details(
    error: grpc.aio.AioRpcError,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest]:
    info, violations = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for packed in _status(error).details:
        if packed.Is(info.DESCRIPTOR):
            packed.Unpack(info)
        elif packed.Is(violations.DESCRIPTOR):
            packed.Unpack(violations)
    # INTERNAL says no more than the code: user-management did not expect it either.
    known = info.domain == _DOMAIN and info.reason != "INTERNAL"
    return (info if known else error_details_pb2.ErrorInfo()), violations


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    return status_pb2.Status()
