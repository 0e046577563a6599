"""Users in a CSV file: every row is checked before any is loaded.

The columns are `email` and `name`, and perhaps `locale`, `status` (active or suspended),
`attributes` (a JSON object) and `roles` (names or ids, with ; between them), in any order.
"""

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from google.protobuf.struct_pb2 import Struct

from rollcall.users.v1 import events_pb2 as pb
from rollcall_cli.importing import Import
from rollcall_events import UnpublishedEvent, fields
from rollcall_events.codec import Malformed, check_readable, encode

TOPIC = "users"
REQUIRED = ("email", "name")
COLUMNS = (*REQUIRED, "locale", "status", "attributes", "roles")
_STATUS = {
    "": pb.USER_STATUS_ACTIVE,
    "active": pb.USER_STATUS_ACTIVE,
    "suspended": pb.USER_STATUS_SUSPENDED,
}
_FIELDS: Mapping[str, Callable[[pb.Person, str], Iterator[str]]] = {
    "email": fields.email,
    "name": fields.name,
    "locale": fields.locale,
    "attributes": fields.attributes,
}
_TOGETHER = 1_000  # users whose creations stand in the log before their roles do


@dataclass(frozen=True)
class Role:
    id: str
    name: str


@dataclass(frozen=True)
class Problem:
    line: int  # counted from 1, the header's
    field: str | None
    message: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.field, self.message)))


@dataclass(frozen=True)
class Row:
    line: int
    person: pb.Person
    status: "pb.UserStatus.ValueType"
    roles: Sequence[Role]


# The live roles, by their ids and by `same` of their names.
Roles = Callable[[], Mapping[str, Role]]


def same(text: str) -> str:
    """What two e-mails or two names of roles have in common that are the same to the platform."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


class UsersFile:
    """A file of users for an import. `roles` is asked when a row names one."""

    def __init__(self, path: Path, of: Import, roles: Roles):
        self.path = path
        self.read = 0  # bytes of it
        self._of = of
        self._roles = roles

    def check(self) -> Iterator[Row | Problem]:
        """Every row that is right, and everything that is wrong. Raises OSError."""
        lines: dict[str, int] = {}
        for found in self._read():
            if isinstance(found, Row):
                first = lines.setdefault(same(found.person.email), found.line)
                if first != found.line:
                    found = Problem(found.line, "email", f"is the same as in line {first}")
            yield found

    def events(self) -> Iterator[UnpublishedEvent]:
        """Of a file that was checked. Raises ValueError where it has become wrong since."""
        rows = self._read()
        while some := list(islice(rows, _TOGETHER)):
            yield from (self._created(_right(row)) for row in some)
            for roles in zip_longest(*(self._assigned(_right(row)) for row in some)):
                yield from (event for event in roles if event is not None)

    def _created(self, row: Row) -> UnpublishedEvent:
        # Who has loaded an e-mail under a label may repeat it with rows in another order.
        user_id = self._of.id("user", same(row.person.email))
        message = pb.UserCreatedEvent(user_id=user_id, person=row.person, status=row.status)
        return self._of.event(message, user_id)

    def _assigned(self, row: Row) -> Iterator[UnpublishedEvent]:
        user_id = self._of.id("user", same(row.person.email))
        for role in row.roles:
            message = pb.RoleAssignedToUserEvent(
                user_id=user_id, role_id=role.id, role_name=role.name
            )
            yield self._of.event(message, user_id, role.id)

    def _read(self) -> Iterator[Row | Problem]:
        with (
            self.path.open("rb") as file,
            io.TextIOWrapper(
                file, encoding="utf-8-sig", errors="surrogateescape", newline=""
            ) as text,
        ):
            reader = csv.reader(text, strict=True)
            line = 1
            columns: list[str] | None = None
            try:
                for cells in reader:
                    if columns is None:
                        columns = [cell.strip().lower() for cell in cells]
                        yield from (problems := list(_header(columns)))
                        if problems:
                            return
                    elif cells:
                        yield from self._row(line, columns, cells)
                    line = reader.line_num + 1
                    self.read = file.tell()
            except csv.Error as error:
                yield Problem(line, None, f"is no CSV: {error}")
            if columns is None:
                yield from _header([])

    def _row(self, line: int, columns: Sequence[str], cells: list[str]) -> Iterator[Row | Problem]:
        if len(cells) != len(columns):
            yield Problem(line, None, f"has {len(cells)} fields, not {len(columns)}")
        elif any(not _is_text(cell) for cell in cells):
            yield Problem(line, None, "is not UTF-8")
        else:
            values = dict(zip(columns, cells, strict=True))
            row, problems = self._parsed(line, values)
            yield from (Problem(line, name, message) for name, message in problems)
            if not problems:
                yield row

    def _parsed(self, line: int, values: Mapping[str, str]) -> tuple[Row, list[tuple[str, str]]]:
        person = pb.Person(
            email=values["email"], name=values["name"], locale=values.get("locale", "").strip()
        )
        problems = []
        try:
            person.attributes.CopyFrom(_attributes(values.get("attributes", "").strip()))
        except ValueError:
            problems.append(("attributes", 'must be a JSON object, such as {"team": "engines"}'))
        for name, check in _FIELDS.items():
            problems += ((name, message) for message in check(person, name))
        status = values.get("status", "").strip().lower()
        if status not in _STATUS:
            problems.append(("status", "must be active or suspended"))
        roles, unknown = self._named(values.get("roles", ""))
        problems += (("roles", message) for message in unknown)
        row = Row(line, person, _STATUS.get(status, pb.USER_STATUS_ACTIVE), roles)
        return row, problems or self._unreadable(row)

    def _named(self, cell: str) -> tuple[list[Role], list[str]]:
        """The roles that a cell names, each once, and what is wrong with it."""
        names = [name.strip() for name in cell.split(";") if name.strip()]
        if not names:
            return [], []
        known = self._roles()
        roles = {role.id: role for name in names if (role := known.get(same(name)))}
        unknown = [name for name in names if same(name) not in known]
        return list(roles.values()), [f"have {name[:100]!r}, which is no role" for name in unknown]

    def _unreadable(self, row: Row) -> list[tuple[str, str]]:
        """The last word: what every group would reject must not be published."""
        event = self._created(row)
        try:
            check_readable(event, encode(event, TOPIC))
        except Malformed as error:
            return [("row", str(error))]
        return []


def _header(columns: Sequence[str]) -> Iterator[Problem]:
    for name in REQUIRED:
        if name not in columns:
            yield Problem(1, name, "is missing: the first line names the columns")
    for name in dict.fromkeys(columns):
        if name not in COLUMNS:
            yield Problem(1, name[:100], f"is no column: there are {', '.join(COLUMNS)}")
        elif columns.count(name) > 1:
            yield Problem(1, name, "stands there more than once")


def _right(found: Row | Problem) -> Row:
    if isinstance(found, Problem):
        raise ValueError(f"line {found.line} has changed while it was loaded")
    return found


def _is_text(cell: str) -> bool:
    """Whether its bytes were UTF-8."""
    return cell.isascii() or not any("\udc80" <= c <= "\udcff" for c in cell)


def _attributes(text: str) -> Struct:
    """Raises ValueError."""
    struct = Struct()
    try:
        document: Any = json.loads(text, parse_constant=_refused) if text else {}
        if not isinstance(document, dict):
            raise ValueError
        struct.update(document)
    except (RecursionError, OverflowError):
        raise ValueError from None
    return struct


def _refused(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are no JSON
