"""The way of a query: wait for its positions, then read in one short transaction."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_events.ids import is_uuid
from rollcall_user_management.queries.cursor import InvalidCursor
from rollcall_user_management.queries.events import list_events
from rollcall_user_management.queries.fields import InvalidField, moment_of
from rollcall_user_management.queries.positions import Positions
from rollcall_user_management.queries.roles import get_role, list_roles
from rollcall_user_management.queries.users import get_user, list_users

DEADLINE = 5.0  # seconds that a query waits for its positions and its moment

QUERIES: Mapping[type[Any], Callable[[Connection, Any], Any]] = {
    pb.GetUserRequest: get_user,
    pb.ListUsersRequest: list_users,
    pb.GetRoleRequest: get_role,
    pb.ListRolesRequest: list_roles,
    pb.ListEventsRequest: list_events,
}


class Generation(Protocol):
    """What is read, and how far it has come."""

    @property
    def engine(self) -> Engine: ...
    @property
    def positions(self) -> Positions: ...


class QueryService:
    """Answers queries from the generation that is live when they come; blocking work runs on
    `executor`."""

    def __init__(self, live: Callable[[], Generation], executor: Executor):
        self._live = live
        self._executor = executor

    async def answer(self, request: Any) -> Any:
        """Raises InvalidField, InvalidCursor, NotFound, SequenceParked, WrongTopic,
        ReadStoreBehind, MomentNotReached, NotServing."""
        _check(request)
        moment = _moment(request)
        live = self._live()
        loop = asyncio.get_running_loop()
        end = loop.time() + DEADLINE  # of both: whoever asks does not wait for one after the other
        await live.positions.passed(request.after, DEADLINE)
        if moment is not None:
            ask = partial(self._ask_all, live)
            await live.positions.reached(moment, end - loop.time(), ask)
        return await loop.run_in_executor(self._executor, self._read, live.engine, request)

    async def _ask_all(self, live: Generation) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, live.positions.ask_all)

    def _read(self, engine: Engine, request: Any) -> Any:
        with engine.connect() as connection:
            try:
                return QUERIES[type(request)](connection, request)
            except DataError:  # a value that Postgres cannot read: only a cursor holds any
                raise InvalidCursor from None


def _moment(request: Any) -> datetime | None:
    """The moment that a question is of, if it is of the past. Raises InvalidField for the future,
    which may still change."""
    if "at" not in request.DESCRIPTOR.fields_by_name or not request.HasField("at"):
        return None
    moment = moment_of(request.at, "at")
    if moment > datetime.now(UTC):
        raise InvalidField("at", "must not be in the future")
    return moment


def _check(request: Any) -> None:
    if "id" in request.DESCRIPTOR.fields_by_name and not is_uuid(request.id):
        raise InvalidField("id", "must be a UUID in lower case")
    for field, value in request.ListFields():
        if isinstance(value, str) and "\0" in value:
            raise InvalidField(field.name, "must not contain NUL")
