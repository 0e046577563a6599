"""The service's own view: who the users are, which role is `admin`, and who holds it.

Order holds only per key: what a role is called and who was assigned it may come in either order,
so each is kept as its own events tell it and they are joined when somebody asks. An assignment
to a role not heard of yet goes by the name that it carries.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, text

ADMIN = "admin"


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


def person(connection: Connection, user_id: str) -> Person | None:
    statement = text(
        "SELECT user_id::text, email, name FROM people WHERE user_id = CAST(:user_id AS uuid)"
    )
    row = connection.execute(statement, {"user_id": user_id}).mappings().first()
    return Person(**row) if row else None


def save_person(connection: Connection, value: Person) -> None:
    connection.execute(
        text(
            "INSERT INTO people (user_id, email, name)"
            " VALUES (CAST(:user_id AS uuid), :email, :name)"
            " ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, name = excluded.name"
        ),
        {"user_id": value.user_id, "email": value.email, "name": value.name},
    )


def remove_person(connection: Connection, user_id: str) -> None:
    """Nothing follows a deletion under the same key, so no trace is needed."""
    for table in ("people", "grants"):
        connection.execute(
            text(f"DELETE FROM {table} WHERE user_id = CAST(:user_id AS uuid)"),  # noqa: S608
            {"user_id": user_id},
        )


def role(connection: Connection, role_id: str) -> Role | None:
    statement = text(
        "SELECT role_id::text, name, admin FROM roles WHERE role_id = CAST(:role_id AS uuid)"
    )
    row = connection.execute(statement, {"role_id": role_id}).mappings().first()
    return Role(**row) if row else None


def save_role(connection: Connection, value: Role) -> None:
    connection.execute(
        text(
            "INSERT INTO roles (role_id, name, admin)"
            " VALUES (CAST(:role_id AS uuid), :name, :admin)"
            " ON CONFLICT (role_id) DO UPDATE SET name = excluded.name, admin = excluded.admin"
        ),
        {"role_id": value.role_id, "name": value.name, "admin": value.admin},
    )


def delete_role(connection: Connection, role_id: str) -> None:
    """A tombstone: an assignment read later must not bring the role back."""
    connection.execute(
        text("UPDATE roles SET deleted = true WHERE role_id = CAST(:role_id AS uuid)"),
        {"role_id": role_id},
    )


def grant(connection: Connection, user_id: str, role_id: str, role_name: str) -> None:
    connection.execute(
        text(
            "INSERT INTO grants (user_id, role_id, admin)"
            " VALUES (CAST(:user_id AS uuid), CAST(:role_id AS uuid), :admin)"
            " ON CONFLICT (user_id, role_id) DO UPDATE SET admin = excluded.admin"
        ),
        {"user_id": user_id, "role_id": role_id, "admin": role_name == ADMIN},
    )


def revoke(connection: Connection, user_id: str, role_id: str) -> None:
    connection.execute(
        text(
            "DELETE FROM grants WHERE user_id = CAST(:user_id AS uuid)"
            " AND role_id = CAST(:role_id AS uuid)"
        ),
        {"user_id": user_id, "role_id": role_id},
    )


def admins(connection: Connection) -> list[Person]:
    """Everybody who holds the role `admin`, as far as is known by now."""
    rows = connection.execute(
        text(
            "SELECT DISTINCT p.user_id::text, p.email, p.name FROM grants g"
            " JOIN people p USING (user_id) LEFT JOIN roles r USING (role_id)"
            " WHERE coalesce(r.admin, g.admin) AND NOT coalesce(r.deleted, false)"
            " ORDER BY 1"
        )
    )
    return [Person(**row) for row in rows.mappings()]
