"""A page of users, as they are or as they were: filters, an order, a keyset cursor."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_user_management.queries import cursor
from rollcall_user_management.queries.fields import InvalidField, page_size

# What a list can be ordered by → the expression, and the type a cursor's value is read as.
Orders = Mapping[str, tuple[str, str]]

_ASKED = ("query", "email", "role", "status", "at")
_TRIGRAM = re.compile(r"[^\W_]{3}")


@dataclass(frozen=True)
class Listing:
    """Which users, and what is shown of them. from_: `FROM users u`, and what the orders and the
    conditions ask of it. conditions: all have to hold, with `parameters`. id_: the user's id, in
    the index that the order goes by. columns, joined: what is shown of `u`, once a page is chosen,
    and what `u` is joined with for it. message: of a row."""

    columns: str
    joined: str
    from_: str
    id_: str
    orders: Orders
    conditions: Sequence[str]
    parameters: Mapping[str, Any]
    message: Callable[[Row[Any]], pb.User]


def page_of(
    connection: Connection, request: pb.ListUsersRequest, listing: Listing
) -> pb.ListUsersResponse:
    """Raises InvalidField, InvalidCursor."""
    size = page_size(request.page_size)
    order = request.order_by or "created_at"
    name = order.removeprefix("-")
    if name not in listing.orders:
        raise InvalidField(
            "order_by", f"must be one of {', '.join(listing.orders)}, or - before it"
        )
    column, kind = listing.orders[name]
    conditions, parameters = list(listing.conditions), dict(listing.parameters)
    question = [*(str(getattr(request, name)) for name in _ASKED), order]
    if request.cursor:
        value, id_ = cursor.decode(request.cursor, question)
        conditions.append(
            f"({column}, {listing.id_}) {'<' if order != name else '>'}"
            f" (cast(:after AS {kind}), cast(:after_id AS uuid))"
        )
        parameters |= {"after": value, "after_id": id_}
    direction = "DESC" if order != name else "ASC"
    # Only parts of statements are put together here, no value of a request.
    page = (
        f"SELECT u.*, {column} AS sort_value {listing.from_} WHERE {' AND '.join(conditions)}"
        f" ORDER BY {column} {direction}, {listing.id_} {direction} LIMIT :limit"
    )
    statement = (
        f"SELECT {listing.columns}, u.sort_value FROM ({page}) u {listing.joined}"  # noqa: S608
        f" ORDER BY u.sort_value {direction}, u.id {direction}"
    )
    rows = connection.execute(text(statement), parameters | {"limit": size + 1}).all()
    response = pb.ListUsersResponse(users=[listing.message(row) for row in rows[:size]])
    if len(rows) > size:
        last = rows[size - 1]
        response.next_cursor = cursor.encode(question, _told(last.sort_value), last.id)
    return response


def _told(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def pattern_of(part: str) -> str:
    """For ILIKE: whatever contains the part."""
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def searching(part: str) -> Sequence[str]:
    """A condition that narrows a search by the index `history_named`, where the part is long enough
    to have a trigram; with `:pattern`. Who is found by it had the name or e-mail at some time."""
    if not _TRIGRAM.search(part):
        return ()
    return ("u.id IN (SELECT h.key FROM history h WHERE h.named ILIKE :pattern)",)
