"""The one place where a failure of user-management becomes a problem."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.rpc import error_details_pb2

from rollcall_gateway import problems
from rollcall_gateway.failures import OVERLOADED, Code, Failure
from rollcall_gateway.idempotency import IDEMPOTENCY_KEY
from rollcall_gateway.problems import FieldError, Problem


@dataclass(frozen=True)
class _Rule:
    status: int
    title: str
    detail: str
    field: str | None = None
    message: str = ""
    kind: str = ""  # where it is not the reason in other letters


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
    "COMMAND_ID_REUSED": _Rule(
        422,
        "Idempotency-Key reused",
        "An earlier request with this Idempotency-Key was another one.",
        IDEMPOTENCY_KEY,
        "was used for another request",
        "idempotency-key-reused",
    ),
    OVERLOADED: _Rule(503, "Overloaded", "User management has too much to do; nothing was done."),
    "LOG_UNAVAILABLE": _Rule(503, "Log unavailable", "The event log is away; nothing was done."),
    "STORE_UNAVAILABLE": _Rule(503, "Store unavailable", "The store is away."),
    "STORE_BEHIND_LOG": _Rule(
        503, "Store behind log", "The store has not caught up with the log; nothing was done."
    ),
    "SEQUENCE_PARKED": _Rule(
        503,
        "Sequence parked",
        "An event of it could not be applied yet and waits for the operators; nothing was done.",
    ),
    "READ_STORE_BEHIND": _Rule(
        504, "Read store behind", "The read store has not reached the Consistency-Token yet."
    ),
    "MOMENT_NOT_REACHED": _Rule(
        504, "Moment not reached", "The read store has not reached that moment yet: ask again."
    ),
}

_CODES = {
    Code.INVALID_ARGUMENT: _Rule(400, "Malformed request", "It was not understood."),
    Code.NOT_FOUND: _Rule(404, "Not found", "There is no such thing."),
    Code.ALREADY_EXISTS: _Rule(409, "Conflict", "It exists already."),
    Code.FAILED_PRECONDITION: _Rule(409, "Conflict", "Its state does not allow that."),
    Code.PERMISSION_DENIED: _Rule(403, "Forbidden", "You may not do that."),
    Code.RESOURCE_EXHAUSTED: _Rule(413, "Content too large", "It is too large."),
    Code.ABORTED: _Rule(503, "Unavailable", "It could not be done now."),
    Code.UNAVAILABLE: _Rule(503, "Unavailable", "User management can't be reached."),
    Code.DEADLINE_EXCEEDED: _Rule(503, "Unavailable", "User management did not answer in time."),
    Code.CANCELLED: _Rule(503, "Unavailable", "User management stopped midway."),
}
# A query is small; it is its answer that the channel (clients.py) finds too large.
_QUERY_CODES = {
    Code.RESOURCE_EXHAUSTED: _Rule(
        422, "Invalid field", "The page is too large.", "page_size", "makes too large a page here"
    ),
}
_UNEXPECTED = _Rule(502, "Bad gateway", "User management failed.")


def to_problem(
    failure: Failure, *, command: bool, keyed: bool, names: Mapping[str, str]
) -> Problem:
    """keyed: the request had an Idempotency-Key.
    names: what user-management calls a field → what the API calls it."""
    if failure.reason == "IN_FLIGHT" and keyed:
        return problems.key_in_flight(IDEMPOTENCY_KEY)
    if command and failure.in_doubt:
        return problems.outcome_unknown()
    if failure.reason == "WRONG_TOPIC":
        return problems.wrong_topic()
    codes = _CODES if command else _CODES | _QUERY_CODES
    rule = _REASONS.get(failure.reason) or codes.get(failure.code, _UNEXPECTED)
    return _problem(rule, failure, _field_errors(rule, failure.violations, names))


def _problem(rule: _Rule, failure: Failure, errors: list[FieldError]) -> Problem:
    headers: dict[str, str] = {}
    members = _members(failure.info.metadata)
    if rule.status == 503:
        headers["Retry-After"] = problems.RETRY_SECONDS
    if "current_version" in members:
        headers["ETag"] = f'"{members["current_version"]}"'
    kind = rule.kind or (failure.reason or rule.title).lower().replace("_", "-").replace(" ", "-")
    detail = rule.detail
    if "records" in members:
        detail = f"The read store is {members['records']} records behind the Consistency-Token."
    return Problem(
        rule.status, kind, rule.title, detail, errors=errors, members=members, headers=headers
    )


def _members(metadata: Mapping[str, str]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name in ("deleted_at", "reached"):
        if name in metadata:
            members[name] = metadata[name]
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
