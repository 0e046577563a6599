"""What is examined: the API of a running platform, and its queries without the processes."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from history.questions import (
    EPOCH,
    Answer,
    Json,
    Listing,
    Missing,
    One,
    Question,
    Refused,
    Trail,
    time_of,
)
from sqlalchemy import Engine

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_gateway import history, representations
from rollcall_user_management.domain.errors import NotFound
from rollcall_user_management.queries.service import QUERIES

TOPIC = "users"
_MOMENTS = ("at", "since", "until")
_MOST_PAGES = 10_000
_AWAY = (503, 504)  # try again
_ATTEMPTS = 5

Page = tuple[list[Json], Any] | Missing | Refused  # rows, and what the next page is asked with


class Api:
    """Over HTTP. client: with the address and a token."""

    def __init__(self, client: httpx.Client):
        self._client = client

    def answer(self, question: Question) -> Answer:
        given = {name: value for name, value in vars(question).items() if value is not None}
        given |= {name: moment_of(given[name]) for name in _MOMENTS if name in given}
        match question:
            case One():
                return self._get(f"/v1/users/{given.pop('id')}", given)
            case Listing():
                return self._pages("/v1/users", "users", given)
            case Trail(user=None):
                return self._pages("/v1/events", "events", given)
            case Trail():
                return self._pages(f"/v1/users/{given.pop('user')}/events", "events", given)

    def _get(self, path: str, parameters: Mapping[str, Any]) -> Json | Missing | Refused:
        for _ in range(_ATTEMPTS):
            answer = self._client.get(path, params=dict(parameters))
            if answer.status_code not in _AWAY:
                break
        body: Json = answer.json()
        if answer.status_code == 404:
            return Missing(_same_form(body.get("deleted_at")))
        return body if answer.status_code == 200 else Refused(answer.status_code, answer.text)

    def _pages(self, path: str, name: str, parameters: Mapping[str, Any]) -> Answer:
        def page(token: str | None) -> Page:
            more = {"page_token": token} if token else {}
            body = self._get(path, {**parameters, **more})
            return (body[name], body["next_page_token"]) if isinstance(body, dict) else body

        return all_pages(page, parameters["page_size"])


class Queries:
    """The queries of user-management on its read store, shown as the gateway shows them."""

    def __init__(self, engine: Engine):
        self._engine = engine

    def answer(self, question: Question) -> Answer:
        match question:
            case One():
                return self._one(question)
            case Listing():
                return self._pages(question, "users", _listing(question), representations.user)
            case Trail():
                return self._pages(question, "events", _trail(question), _event)

    def _one(self, question: One) -> Answer:
        request = pb.GetUserRequest(id=question.id)
        if question.version is not None:
            request.version = question.version
        _set_moments(request, question)
        try:
            return _json(representations.user(self._ask(request)))
        except NotFound as missing:
            return _missing(missing)

    def _pages(
        self, question: Listing | Trail, name: str, request: Any, shown: Callable[[Any], Any]
    ) -> Answer:
        request.order_by, request.page_size = question.order_by, question.page_size
        _set_moments(request, question)

        def page(cursor: bytes | None) -> Page:
            request.cursor = cursor or b""
            try:
                answer = self._ask(request)
            except NotFound as missing:
                return _missing(missing)
            return [_json(shown(row)) for row in getattr(answer, name)], answer.next_cursor

        return all_pages(page, question.page_size)

    def _ask(self, request: Any) -> Any:
        with self._engine.connect() as connection:
            return QUERIES[type(request)](connection, request)


def _listing(question: Listing) -> pb.ListUsersRequest:
    request = pb.ListUsersRequest(query=question.q, email=question.email, role=question.role)
    if question.status is not None:
        request.status = representations.STATUSES[question.status]
    return request


def _trail(question: Trail) -> pb.ListEventsRequest:
    subject = f"users/{question.user}" if question.user else question.subject
    return pb.ListEventsRequest(subject=subject, type=question.type, actor=question.actor)


def _event(message: pb.HistoryEvent) -> history.Event:
    return history.event(message, TOPIC)


def all_pages(page: Callable[[Any], Page], size: int) -> Answer:
    """The rows of all pages, each of which but the last has to be full."""
    rows: list[Json] = []
    following: Any = None
    for number in range(_MOST_PAGES):
        found = page(following)
        if not isinstance(found, tuple):
            return found
        some, following = found
        rows += some
        if not following:
            break
        if len(some) != size:
            return Refused(200, f"page {number} of {size} has {len(some)} rows and is not the last")
    for row in rows:
        if "position" in row:
            assert row["position"].pop("topic") == TOPIC
    return rows


def moment_of(at: int) -> str:
    moment = EPOCH + timedelta(microseconds=at)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _set_moments(request: Any, question: Question) -> None:
    for name in _MOMENTS:
        at = getattr(question, name, None)
        if at is not None:
            stamp = Timestamp(seconds=at // 1_000_000, nanos=at % 1_000_000 * 1_000)
            getattr(request, name).CopyFrom(stamp)


def _missing(error: NotFound) -> Missing:
    return Missing(_same_form(error.metadata().get("deleted_at")))


def _same_form(moment: str | None) -> str | None:
    """The API gives the moment of a deletion with more or fewer digits."""
    if moment is None:
        return None
    at = datetime.fromisoformat(moment).astimezone(UTC) - EPOCH
    return time_of(at // timedelta(microseconds=1))


def _json(shown: msgspec.Struct) -> Json:
    return dict(json.loads(msgspec.json.encode(shown)))
