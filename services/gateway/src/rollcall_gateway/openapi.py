"""The OpenAPI 3.1 document, made from the route table and the structs that do the work."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from rollcall_gateway.bodies import NoQuery
from rollcall_gateway.export_forms import CSV, FORMS, NDJSON
from rollcall_gateway.history import Actor, Change, Event, Position
from rollcall_gateway.idempotency import IDEMPOTENCY_KEY, MAX_KEY
from rollcall_gateway.operations import Operation
from rollcall_gateway.problems import MEDIA_TYPE, FieldError

_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"{(\w+)}")


_KEY = (
    f"The client's name for this request: 1 to {MAX_KEY} visible ASCII characters, quoted "
    "or bare. Repeated with the same key and body, it is done once and given the first answer; a "
    "key is remembered for 24 hours."
)
_KEYED_PROBLEMS = {
    "409": "A value is taken, or the first request with this Idempotency-Key is still in flight.",
    "422": "A field is not valid, or the Idempotency-Key was used for another request.",
}


_EXPORTS = {
    CSV: "All that the filters select, a line each under a line of names; RFC 4180. A text that a "
    "spreadsheet would calculate has an apostrophe before it.",
    NDJSON: "All that the filters select, each an Event as JSON in a line of its own.",
}
_EVENT = Event(
    id="01a20804-f721-78eb-a684-9283e2d004b9",
    type="rollcall.users.v1.UserUpdatedEvent",
    version=2,
    recorded_at="2026-01-31T09:30:00.125Z",
    occurred_at="2026-01-31T09:30:00.121Z",
    actor=Actor("users/01a20804-f721-78eb-a684-9283e2d004b7", "Grace Hopper"),
    correlation_id="request-7",
    causation_id=None,
    subject="users/01a20804-f721-78eb-a684-9283e2d004b8",
    rejected=None,
    changes=[Change("name", "Ada", "Ada Lovelace")],
    position=Position("users", 17, 4711),
)


class Problem(msgspec.Struct):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None
    deleted_at: str | None = None
    current_version: int | None = None
    records: int | None = None
    reached: str | None = None


def document(routes: Iterable[Operation]) -> dict[str, Any]:
    table = list(routes)
    structs = {s for o in table for s in (o.answer, o.body, Problem) if s is not None}
    ordered = sorted(structs, key=lambda s: s.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rollcall",
            "version": "1.0.0",
            "summary": "Users and roles, as a log of events.",
        },
        "servers": [{"url": "/"}],
        "paths": _paths(table),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
            "responses": {"Problem": _content("What went wrong.", Problem, MEDIA_TYPE)},
        },
    }


def _paths(table: Iterable[Operation]) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return paths


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _name(operation.summary),
        "summary": operation.summary,
        "tags": [_tag(operation.path)],
        "security": [{"bearer": []}] if operation.secured else [],
        "parameters": list(_parameters(operation)),
        "responses": _responses(operation),
    }
    if operation.body is not None:
        schema = {"schema": _ref(operation.body)}
        content = dict.fromkeys(operation.media_types, schema)
        described["requestBody"] = {"required": True, "content": content}
    return described


def _name(summary: str) -> str:
    """Create a user → createUser."""
    first, *rest = [w for w in summary.rstrip("?").lower().split() if w != "a"]
    return first + "".join(word.capitalize() for word in rest)


def _tag(path: str) -> str:
    parts = path.split("/")
    return parts[2] if parts[1] == "v1" else "service"


def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    for name in _PARAMETER.findall(operation.path):
        schema = {"type": "string", **({"format": "uuid"} if operation.secured else {})}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name, schema in _query_schemas(operation.query):
        yield {"name": name, "in": "query", "schema": schema}
    if operation.secured:
        yield _header("Consistency-Token", "Of earlier answers: what must be visible at least.")
    if operation.keyed:
        yield _header(IDEMPOTENCY_KEY, _KEY)
    if operation.conditional:
        yield _header("If-Match", 'The ETag that is expected, such as `"3"`.')
    if _cacheable(operation):
        yield _header("If-None-Match", "304 while the ETag is still this.")


def _query_schemas(query: type[msgspec.Struct]) -> Iterable[tuple[str, Any]]:
    if query is NoQuery:
        return ()
    _, components = msgspec.json.schema_components([query], ref_template=_REFERENCE)
    properties: dict[str, Any] = components[query.__name__]["properties"]
    return properties.items()


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _responses(operation: Operation) -> dict[str, Any]:
    answered = _content("Done.", operation.answer)
    for media_type in operation.exports:
        shown = {"type": "string", "description": _EXPORTS[media_type]}
        answered["content"][media_type] = {"schema": shown, "example": _example(media_type)}
    if operation.secured:
        answered["headers"] = {name: {"schema": {"type": "string"}} for name in _headers(operation)}
    unchanged = {"304": {"description": "Not modified."}} if _cacheable(operation) else {}
    keyed = _KEYED_PROBLEMS if operation.keyed else {}
    refused = {status: _content(text, Problem, MEDIA_TYPE) for status, text in keyed.items()}
    problem = {"$ref": "#/components/responses/Problem"}
    return {str(operation.status): answered, **unchanged, **refused, "default": problem}


def _cacheable(operation: Operation) -> bool:
    return operation.secured and operation.method == "GET" and operation.path.endswith("{id}")


def _headers(operation: Operation) -> Iterable[str]:
    yield "Consistency-Token"
    if operation.is_command or _cacheable(operation):
        yield "ETag"
    if operation.status == 201:
        yield "Location"
    if operation.exports:
        yield "Content-Disposition"


def _content(
    description: str, struct: type[msgspec.Struct] | None, media_type: str = "application/json"
) -> dict[str, Any]:
    if struct is None:
        return {"description": description}
    return {"description": description, "content": {media_type: {"schema": _ref(struct)}}}


def _example(media_type: str) -> str:
    form = FORMS[media_type]
    return (form.head + form.encode([_EVENT])).decode()


def _ref(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=struct.__name__)}
