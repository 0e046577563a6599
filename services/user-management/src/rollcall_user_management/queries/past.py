"""Users as they were at a moment: the newest state of each that was recorded until then.

Every look-up is a search of an index of the history, so its cost does not grow with the log.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from rollcall.users.v1 import queries_pb2 as pb
from rollcall_events.ids import is_uuid
from rollcall_user_management.domain.errors import NotFound
from rollcall_user_management.domain.state import unique_key
from rollcall_user_management.history import user_then
from rollcall_user_management.queries.listing import Listing, Orders, pattern_of, searching
from rollcall_user_management.representations import user_message


def _state_at(key: str, moment: str) -> str:
    """The newest state of an aggregate at a moment, as a subselect."""
    return f"""(SELECT h.state, h."offset", h.recorded_at FROM history h
  WHERE h.key = {key} AND h.recorded_at <= {moment} AND h.state IS NOT NULL
  ORDER BY h.recorded_at DESC, h."offset" DESC LIMIT 1)"""  # noqa: S608  (constants)


# Strangers may assign what is no role; a user's state is not shown as one.
_OF_ROLE = "state ? 'permissions'"


def _roles(moment: str) -> str:
    """The roles that user `u` had after the event of `s`, by the names that they had at the moment;
    one that had been deleted is not shown, and one that had not been created by its name in the
    assignment."""
    return f"""(SELECT coalesce(jsonb_object_agg(a.role_id,
    coalesce(r.state->>'name', a.role_name)), '{{}}')
  FROM assignments a LEFT JOIN LATERAL {_state_at("a.role_id", moment)} r ON r.{_OF_ROLE}
 WHERE a.user_id = u.id AND a.since_offset <= s."offset"
   AND (a.until_offset IS NULL OR a.until_offset > s."offset")
   AND r.state->>'deleted_at' IS NULL) AS roles"""  # noqa: S608  (constants)


_AT = text(
    f"SELECT u.id::text AS id, s.state, {_roles(':at')}"  # noqa: S608  (constants)
    f" FROM (SELECT cast(:id AS uuid) AS id) u CROSS JOIN LATERAL {_state_at('u.id', ':at')} s"
)
_VERSION = text(
    f"SELECT u.id::text AS id, s.state, {_roles('s.recorded_at')}"  # noqa: S608  (constants)
    " FROM (SELECT cast(:id AS uuid) AS id) u JOIN history s ON s.key = u.id"
    " WHERE s.version = :version"
)

_COLUMNS = f"u.id::text AS id, s.state, {_roles(':at')}"
_STATES = f"CROSS JOIN LATERAL {_state_at('u.id', ':at')} s"
_LIVE = ["u.created_at <= :at", "(u.deleted_at IS NULL OR u.deleted_at > :at)"]
_EMAIL_KEY = "coalesce(s.state->>'email_key', s.state->>'email')"
_ORDERS: Orders = {
    "created_at": ("u.created_at", "timestamptz"),
    "updated_at": ("(s.state->>'updated_at')::timestamptz", "timestamptz"),
    "email": (_EMAIL_KEY, "text"),
    "name": ("s.state->>'name'", "text"),
}

_SO_NAMED = "a.role_name = :role"
# Roles that might be meant, and how each was at the moment. The second of the two finds roles that
# had not been created then, by the name in their assignments: one search of the index for each.
_MEANT = text(
    f"""WITH RECURSIVE assigned AS (
  (SELECT role_id FROM assignments WHERE role_name = :role ORDER BY role_id LIMIT 1)
  UNION ALL SELECT (SELECT a.role_id FROM assignments a
     WHERE a.role_name = :role AND a.role_id > n.role_id ORDER BY a.role_id LIMIT 1)
    FROM assigned n WHERE n.role_id IS NOT NULL),
meant AS (
  SELECT h.key AS id FROM history h JOIN roles r ON r.id = h.key WHERE h.value_key = :role_key
  UNION SELECT role_id FROM assigned WHERE role_id IS NOT NULL
  UNION SELECT cast(:role_id AS uuid) WHERE cast(:role_id AS uuid) IS NOT NULL)
SELECT m.id::text AS id, s.state->>'deleted_at' AS deleted_at,
  coalesce(s.state->>'name_key', s.state->>'name') AS name_key,
  s.state IS NULL AND EXISTS (SELECT 1 FROM assignments a WHERE a.role_id = m.id
    AND a.user_created_at <= :at AND a.since <= :at AND {_SO_NAMED}) AS uncreated
FROM meant m LEFT JOIN LATERAL {_state_at("m.id", ":at")} s ON s.{_OF_ROLE}"""  # noqa: S608  (constants)
)
_HELD = "a.since <= :at AND (a.until IS NULL OR a.until > :at)"
_HAS_ROLE = f"""u.id IN (SELECT a.user_id FROM assignments a WHERE {_HELD}
    AND (a.role_id = ANY (cast(:roles AS uuid[]))
     OR a.role_id = ANY (cast(:uncreated AS uuid[])) AND {_SO_NAMED}))"""  # noqa: S608  (constants)
# Nearly always one role is meant. Its holders are read in the order of their creation until they
# fill a page, by the index `assignments_role`.
_HOLDERS = "FROM assignments a JOIN users u ON u.id = a.user_id"
_HOLDING = [_HELD, "a.role_id = cast(:held AS uuid)", "a.user_created_at <= :at"]
# The earliest users were given most of their roles late. The planner does not know, and would read
# and sort all who ever held it for the earliest moments.
_IN_ORDER = text("SET LOCAL enable_sort = off")
_ORDERS_OF_HOLDERS: Orders = {**_ORDERS, "created_at": ("a.user_created_at", "timestamptz")}


def get_user(connection: Connection, request: pb.GetUserRequest) -> pb.User:
    """Raises NotFound, with the moment of the deletion where it was before that."""
    if request.WhichOneof("as_of") == "at":
        row = connection.execute(_AT, {"id": request.id, "at": request.at.ToDatetime(UTC)}).first()
    else:
        parameters = {"id": request.id, "version": request.version}
        row = connection.execute(_VERSION, parameters).first()
    if row is None or "email" not in row.state:
        raise NotFound("user")
    user = user_then(row.id, row.state, row.roles)
    if user.deleted_at is not None:
        raise NotFound("user", user.deleted_at)
    return user_message(user)


def listing(connection: Connection, request: pb.ListUsersRequest) -> Listing:
    """The users who lived at the moment of the request. Their states are looked up for a page of
    them alone, where nothing else depends on them."""
    conditions, parameters = _filters(request)
    from_, id_, orders = "FROM users u", "u.id", _ORDERS
    if request.HasField("role"):
        roles, uncreated = _roles_meant(connection, request.role, parameters["at"])
        parameters["role"] = request.role
        match [*roles, *uncreated]:
            case [one]:
                from_, id_, orders = _HOLDERS, "a.user_id", _ORDERS_OF_HOLDERS
                conditions += [*_HOLDING, _SO_NAMED] if uncreated else _HOLDING
                parameters["held"] = one
                connection.execute(_IN_ORDER)
            case _:
                conditions.append(_HAS_ROLE)
                parameters |= {"roles": roles, "uncreated": uncreated}
    if _of_states(request):
        from_ = f"{from_} {_STATES}"
    return Listing(_COLUMNS, _STATES, from_, id_, orders, conditions, parameters, _message)


def _filters(request: pb.ListUsersRequest) -> tuple[list[str], dict[str, Any]]:
    """All but the role."""
    conditions = list(_LIVE)
    parameters: dict[str, Any] = {"at": request.at.ToDatetime(UTC)}
    if request.HasField("query"):
        named = "(s.state->>'name' ILIKE :pattern OR s.state->>'email' ILIKE :pattern)"
        conditions += [*searching(request.query), named]
        parameters["pattern"] = pattern_of(request.query)
    if request.HasField("email"):
        conditions += [
            "u.id IN (SELECT h.key FROM history h WHERE h.value_key = :email)",
            f"{_EMAIL_KEY} = :email",
        ]
        parameters["email"] = unique_key(request.email)
    if request.status:
        conditions.append("(s.state->>'status')::int = :status")
        parameters["status"] = request.status
    return conditions, parameters


def _of_states(request: pb.ListUsersRequest) -> bool:
    """Whether who is listed, or the order, depends on the users' states at the moment."""
    filtered = request.HasField("query") or request.HasField("email") or bool(request.status)
    return filtered or request.order_by.removeprefix("-") not in ("", "created_at")


def _roles_meant(connection: Connection, role: str, at: datetime) -> tuple[list[str], list[str]]:
    """Which roles an id or a name meant at a moment: those that existed, and those that did not
    yet, and whose assignments until then alone say their name."""
    role_key = unique_key(role)
    parameters = {
        "role": role,
        "role_key": role_key,
        "role_id": role if is_uuid(role) else None,
        "at": at,
    }
    living = [r for r in connection.execute(_MEANT, parameters) if r.deleted_at is None]
    return (
        [r.id for r in living if r.id == role or r.name_key == role_key],
        [r.id for r in living if r.id != role and r.uncreated],
    )


def _message(row: Row[Any]) -> pb.User:
    return user_message(user_then(row.id, row.state, row.roles))
