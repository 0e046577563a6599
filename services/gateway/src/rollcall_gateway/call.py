"""One request of the API, as a handler sees it."""

import asyncio
import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from rollcall_events.tracing import Carried
from rollcall_gateway import problems
from rollcall_gateway.decoding import decode_body, decode_query
from rollcall_gateway.headers import Headers
from rollcall_gateway.ids import canonical_uuid, uuid7
from rollcall_gateway.preconditions import expected_version
from rollcall_gateway.problems import FieldError

T = TypeVar("T", bound=msgspec.Struct)

MAX_BODY = 2 * 1024 * 1024
BODY_SECONDS = 10.0
MAX_PARAMETERS = 50
_CORRELATION_ID = re.compile(r"[\x21-\x7e]{1,128}")


class Call(msgspec.Struct, frozen=True):
    actor: str
    command_id: str | None  # of its Idempotency-Key
    correlation_id: str
    trace: Carried
    headers: Headers
    path: Mapping[str, str]
    query_string: bytes
    content: bytes

    def body(self, struct: type[T]) -> T:
        return decode_body(self.content, struct)

    def query(self, struct: type[T]) -> T:
        return decode_query(self._parameters(), struct)

    def id(self, name: str = "id") -> str:
        found = canonical_uuid(self.path[name])
        if found is None:
            raise problems.invalid_fields([FieldError(name, "must be a UUID")])
        return found

    def expected_version(self) -> int | None:
        return expected_version(self.headers.getlist("if-match"))

    def _parameters(self) -> dict[str, str]:
        if not self.query_string:
            return {}
        try:
            text = self.query_string.decode()
            pairs = parse_qsl(
                text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
            )
        except ValueError:  # not UTF-8, or too many of them
            raise problems.malformed("The query string can't be read.") from None
        return _unique(pairs)


def _unique(pairs: list[tuple[str, str]]) -> dict[str, str]:
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        names = [name for name, _ in pairs]
        twice = {name[:100] for name in names if names.count(name) > 1}
        errors = [FieldError(name, "is given more than once") for name in sorted(twice)]
        raise problems.malformed("A query parameter is given more than once.", *errors)
    return parameters


def correlation_id(headers: Headers) -> str:
    """The caller's, if it is short and printable; else a new one."""
    given = headers.get("x-correlation-id") or headers.get("x-request-id")
    return given if _CORRELATION_ID.fullmatch(given) else uuid7()


def require_media_type(headers: Headers, accepted: tuple[str, ...], patch: bool) -> None:
    """Raises a Problem (415) unless the body is one of the accepted types, plain and in UTF-8."""
    media_type, _, parameters = headers.get("content-type").lower().partition(";")
    charset = re.sub(r'[\s"]', "", parameters)
    plain = headers.get("content-encoding", "identity").lower() == "identity"
    if media_type.strip() in accepted and charset in ("", "charset=utf-8") and plain:
        return
    advice = {"Accept-Patch" if patch else "Accept": ", ".join(accepted)}
    raise problems.unsupported_media_type(accepted, advice)


async def read_body(headers: Headers, receive: Receive) -> bytes:
    """At most MAX_BODY bytes, within BODY_SECONDS; raises a Problem (413, 408) beyond."""
    if int(headers.get("content-length", "0")) > MAX_BODY:
        raise problems.body_too_large(MAX_BODY)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read(receive)
    except TimeoutError:
        raise problems.body_too_slow() from None


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise problems.body_too_large(MAX_BODY)
        if not message.get("more_body", False):
            return bytes(body)
