"""The service's own view: who the users are, which role is `admin`, and who holds it.

Order holds only per key: what a role is called and who was assigned it may come in either order,
so each is kept as its own events tell it and they are joined when somebody asks. An assignment
to a role not heard of yet goes by the name that it carries.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

from rollcall_events import Statement
from rollcall_events.postgres import Wire, array

ADMIN = "admin"

PREPARE = """
PREPARE view_of (uuid[], uuid[], uuid[]) AS
  WITH known_grants AS (
    SELECT user_id, role_id, admin FROM grants WHERE role_id = ANY (ARRAY (
      SELECT role_id FROM roles WHERE admin AND NOT deleted UNION SELECT unnest($3)))
    UNION SELECT user_id, role_id, admin FROM grants g
      WHERE admin AND NOT EXISTS (SELECT FROM roles r WHERE r.role_id = g.role_id))
  SELECT 'grant' AS kind, user_id::text AS id, role_id::text AS detail, '' AS name, admin,
         false AS deleted FROM known_grants
  UNION ALL SELECT 'role', r.role_id::text, '', r.name, r.admin, r.deleted
    FROM (SELECT unnest($2) UNION SELECT role_id FROM known_grants) AS v (role_id)
    JOIN roles r USING (role_id)
  UNION ALL SELECT 'person', p.user_id::text, p.email, p.name, false, false
    FROM (SELECT unnest($1) UNION SELECT user_id FROM known_grants) AS v (user_id)
    JOIN people p USING (user_id);
PREPARE save_people (uuid[], text[], text[]) AS
  INSERT INTO people (user_id, email, name) SELECT * FROM unnest($1, $2, $3)
  ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, name = excluded.name;
PREPARE remove_people (uuid[]) AS
  WITH theirs AS (DELETE FROM grants WHERE user_id = ANY ($1))
  DELETE FROM people WHERE user_id = ANY ($1);
PREPARE save_roles (uuid[], text[], boolean[], boolean[]) AS
  INSERT INTO roles (role_id, name, admin, deleted) SELECT * FROM unnest($1, $2, $3, $4)
  ON CONFLICT (role_id) DO UPDATE
    SET name = excluded.name, admin = excluded.admin, deleted = excluded.deleted;
PREPARE save_grants (uuid[], uuid[], boolean[]) AS
  INSERT INTO grants (user_id, role_id, admin) SELECT * FROM unnest($1, $2, $3)
  ON CONFLICT (user_id, role_id) DO UPDATE SET admin = excluded.admin;
PREPARE remove_grants (uuid[], uuid[]) AS
  DELETE FROM grants g USING unnest($1, $2) AS v (user_id, role_id)
  WHERE g.user_id = v.user_id AND g.role_id = v.role_id;
"""


@dataclass(frozen=True)
class Person:
    user_id: str
    email: str  # empty: cannot be found in Slack
    name: str

    @property
    def conversation(self) -> str:
        """Slack finds people by their address, in any letter case."""
        return self.email.lower()


@dataclass(frozen=True)
class Role:
    role_id: str
    name: str
    admin: bool  # whether its name is exactly `admin`
    # A tombstone: an assignment read later must not bring the role back.
    deleted: bool = False


class Grant(NamedTuple):
    user_id: str
    role_id: str


class View(NamedTuple):
    """What is known, by id. grants: who holds a role, and whether it was called `admin` when it was
    assigned."""

    people: dict[str, Person]
    roles: dict[str, Role]
    grants: dict[Grant, bool]


def read(
    wire: Wire, user_ids: Collection[str], role_ids: Collection[str], admin_ids: Collection[str]
) -> View:
    """These users and roles, the deleted roles too; and whoever holds the role `admin` as far as is
    known by now, or one of `admin_ids`, roles that are about to be called so."""
    view = View({}, {}, {})
    wanted = (array(user_ids), array(role_ids), array(admin_ids))
    for row in wire.send("EXECUTE view_of (%s, %s, %s)", wanted):
        match row.kind:
            case "person":
                view.people[row.id] = Person(row.id, row.detail, row.name)
            case "role":
                view.roles[row.id] = Role(row.id, row.name, row.admin, row.deleted)
            case "grant":
                view.grants[Grant(row.id, row.detail)] = row.admin
    return view


def saving_roles(changed: Mapping[str, Role]) -> Iterator[Statement]:
    if changed:
        yield (
            "EXECUTE save_roles (%s, %s, %s, %s)",
            _columns([astuple(role) for role in changed.values()]),
        )


def saving_people(changed: Mapping[str, Person | None]) -> Iterator[Statement]:
    """What makes the view hold these; None: the user was deleted, and nothing follows under their
    key, so they leave no trace."""
    if gone := [user_id for user_id, person in changed.items() if person is None]:
        yield "EXECUTE remove_people (%s)", (array(gone),)
    if saved := [astuple(person) for person in changed.values() if person is not None]:
        yield "EXECUTE save_people (%s, %s, %s)", _columns(saved)


def saving_grants(changed: Mapping[Grant, bool | None]) -> Iterator[Statement]:
    """What makes the view hold these; None: it was taken away."""
    if taken := [grant for grant, admin in changed.items() if admin is None]:
        yield "EXECUTE remove_grants (%s, %s)", _columns(taken)
    if given := [(*grant, admin) for grant, admin in changed.items() if admin is not None]:
        yield "EXECUTE save_grants (%s, %s, %s)", _columns(given)


def _columns(rows: Collection[tuple[Any, ...]]) -> tuple[str, ...]:
    return tuple(array(column) for column in zip(*rows, strict=True))
