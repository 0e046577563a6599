"""Every error of the API: RFC 9457 problem details."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "1"


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one member of the body, parameter or header."""

    field: Annotated[str, msgspec.Meta(description="Its name; nested ones as `attributes.a[0]`.")]
    message: str


class Problem(Exception):
    """Ends a request with a problem document.

    kind is the last part of the type URN; members extend the document; nothing in it may quote
    personal data that the caller did not send.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        *,
        errors: Iterable[FieldError] = (),
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(kind)
        self.status, self.kind, self.title, self.detail = status, kind, title, detail
        self.errors = list(errors)
        self.members = dict(members or {})
        self.headers = dict(headers or {})

    def response(self) -> Response:
        document = {
            "type": f"urn:rollcall:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.members,
            **({"errors": self.errors} if self.errors else {}),
        }
        body = msgspec.json.encode(document)
        return Response(body, self.status, headers=self.headers, media_type=MEDIA_TYPE)


def malformed(detail: str, *errors: FieldError) -> Problem:
    return Problem(400, "malformed-request", "Malformed request", detail, errors=errors)


def bad_token(field: str) -> Problem:
    message = "is not a token that this service gave"
    error = FieldError(field, message)
    return Problem(400, "invalid-token", "Invalid token", f"{field} {message}.", errors=[error])


def wrong_topic() -> Problem:
    error = FieldError("Consistency-Token", "is of another event log")
    detail = "The Consistency-Token belongs to another event log; drop it."
    return Problem(400, "wrong-topic", "Wrong topic", detail, errors=[error])


def invalid_fields(errors: Iterable[FieldError]) -> Problem:
    found = list(errors)
    names = ", ".join(sorted({e.field for e in found})[:5])
    return Problem(422, "invalid-field", "Invalid field", f"Not valid: {names}.", errors=found)


def unauthorized(detail: str, challenge: str) -> Problem:
    headers = {"WWW-Authenticate": challenge}
    return Problem(401, "unauthorized", "Unauthorized", detail, headers=headers)


def unknown_route() -> Problem:
    return Problem(404, "unknown-route", "Not found", "There is nothing at this address.")


def method_not_allowed(allow: str) -> Problem:
    detail = f"This address answers to {allow}."
    headers = {"Allow": allow}
    return Problem(405, "method-not-allowed", "Method not allowed", detail, headers=headers)


def body_too_slow() -> Problem:
    headers = {"Connection": "close"}
    detail = "The body did not arrive in time."
    return Problem(408, "request-timeout", "Request timeout", detail, headers=headers)


def body_too_large(limit: int) -> Problem:
    detail = f"A body may have at most {limit} bytes."
    return Problem(413, "body-too-large", "Content too large", detail)


def head_too_large(limit: int) -> Problem:
    detail = f"The request line and the headers may have at most {limit} bytes."
    return Problem(431, "head-too-large", "Request header fields too large", detail)


def unsupported_media_type(accepted: Iterable[str], headers: Mapping[str, str]) -> Problem:
    detail = f"The body must be {' or '.join(accepted)}, in UTF-8 and not compressed."
    kind, title = "unsupported-media-type", "Unsupported media type"
    return Problem(415, kind, title, detail, headers=headers)


def unavailable(detail: str, kind: str = "unavailable") -> Problem:
    headers = {"Retry-After": RETRY_SECONDS}
    return Problem(503, kind, "Service unavailable", detail, headers=headers)


def key_in_flight(field: str) -> Problem:
    message = "is that of a request which is still in flight"
    error = FieldError(field, message)
    detail = "The first request with this key is still in flight: repeat later."
    headers = {"Retry-After": RETRY_SECONDS}
    kind, title = "idempotency-key-in-flight", "Idempotency-Key in flight"
    return Problem(409, kind, title, detail, errors=[error], headers=headers)


def outcome_unknown() -> Problem:
    detail = (
        "The change may or may not have been made, and may still be: repeat with the same "
        "Idempotency-Key. Without one, look before you repeat it."
    )
    headers = {"Retry-After": RETRY_SECONDS}
    return Problem(503, "outcome-unknown", "Outcome unknown", detail, headers=headers)


def not_taken() -> Problem:
    detail = "The answer was not taken in time."
    return Problem(408, "answer-not-taken", "Answer not taken", detail)


def internal() -> Problem:
    detail = "The gateway failed; the failure was recorded."
    return Problem(500, "internal", "Internal error", detail)
