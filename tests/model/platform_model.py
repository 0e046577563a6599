"""The platform as a client sees it: a pure function of its state and a command.

Written from the design (section 8), the README and the API's description, and not from the
services. A command is first looked at by itself (422), then its aggregate must exist (404), then
its If-Match must be the version (412), then the rest decides.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

ADMIN = "admin"  # the role that can be neither renamed nor deleted
TIME = "a time"  # stands in a body for a moment that the platform has not told yet

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Command:
    """id: the user's or role's; of a creation, what the platform chose. key: Idempotency-Key,
    which is the same one whether it is quoted or not."""

    kind: str
    id: str = ""
    role: str = ""
    body: Body = field(default_factory=dict)
    if_match: int | None = None
    key: str | None = None
    quoted: bool = False

    def __str__(self) -> str:
        parts = {"id": self.id, "role": self.role, "If-Match": self.if_match, "key": self.key}
        given = [f"{name} {value}" for name, value in parts.items() if value not in ("", None)]
        return " ".join([self.kind, *given, str(dict(self.body)) if self.body else ""])

    @property
    def creates(self) -> bool:
        return self.kind in ("create_user", "create_role")

    @property
    def noun(self) -> str:
        """What it changes."""
        return "role" if self.kind in ("create_role", "patch_role", "delete_role") else "user"


@dataclass(frozen=True)
class Aggregate:
    """fields: what the API shows but id, version, conflict and times. Times: None: not told yet."""

    id: str
    version: int
    fields: Body
    created_at: str | None = None
    updated_at: str | None = None
    live: bool = True

    def changed(self, **fields: Any) -> "Aggregate":
        fields = {**self.fields, **fields}
        return replace(self, version=self.version + 1, fields=fields, updated_at=None)

    def shown(self, **fields: Any) -> Body:
        return {
            **self.fields,
            **fields,
            "id": self.id,
            "version": self.version,
            "conflict": False,
            "created_at": self.created_at or TIME,
            "updated_at": self.updated_at or TIME,
        }


@dataclass(frozen=True)
class Expected:
    """version: the ETag's. fields: those at fault. repeat: the answer was given before."""

    status: int
    version: int | None = None
    body: Body | None = None
    problem: str | None = None
    fields: frozenset[str] = frozenset()
    deleted: bool = False
    repeat: bool = False


@dataclass(frozen=True)
class State:
    """keys: (kind of command, Idempotency-Key) → the body that it came with, and the answer."""

    users: Mapping[str, Aggregate] = field(default_factory=dict)
    roles: Mapping[str, Aggregate] = field(default_factory=dict)
    keys: Mapping[tuple[str, str], tuple[Body, Expected]] = field(default_factory=dict)

    def with_user(self, user: Aggregate) -> "State":
        return replace(self, users={**self.users, user.id: user})

    def with_role(self, role: Aggregate) -> "State":
        return replace(self, roles={**self.roles, role.id: role})

    def of(self, noun: str) -> Mapping[str, Aggregate]:
        return self.roles if noun == "role" else self.users


Outcome = tuple[Expected, State]


class Rules:
    """Subclasses alter a rule, to show that the difference is seen."""

    def perform(self, state: State, command: Command) -> Outcome:
        """The answer that the command must get, and the state after it."""
        if faults := faults_of(command):
            return refused(422, "invalid-field", *faults), state
        if command.creates:
            return self._create(state, command)
        aggregate = state.of(command.noun).get(command.id)
        if aggregate is None or not aggregate.live:
            return missing(command.noun, aggregate), state
        if command.if_match not in (None, aggregate.version):
            mismatch = refused(412, "version-mismatch", "If-Match")
            return replace(mismatch, version=aggregate.version), state
        decide: Callable[[State, Command, Aggregate], Outcome] = getattr(self, command.kind)
        return decide(state, command, aggregate)

    def learned(self, state: State, noun: str, body: Body) -> State:
        """The state with the times that a representation has told."""
        aggregate = state.of(noun)[str(body["id"])]
        if aggregate.version != body["version"]:
            return state
        told = replace(aggregate, created_at=body["created_at"], updated_at=body["updated_at"])
        return state.with_role(told) if noun == "role" else state.with_user(told)

    def remembered(self, state: State, command: Command, body: Body) -> State:
        """The state with the whole first answer to a creation that may be repeated."""
        assert command.key
        place = (command.kind, command.key)
        given, expected = state.keys[place]
        return replace(state, keys={**state.keys, place: (given, replace(expected, body=body))})

    # --- creation ----------------------------------------------------------------------------

    def _create(self, state: State, command: Command) -> Outcome:
        earlier = state.keys.get((command.kind, command.key)) if command.key else None
        if earlier:
            body, expected = earlier
            if body == command.body:
                return replace(expected, repeat=True), state
            return refused(422, "idempotency-key-reused", "Idempotency-Key"), state
        decide: Callable[[State, Command], Outcome] = getattr(self, command.kind)
        expected, after = decide(state, command)
        if command.key and expected.status == 201:
            place = (command.kind, command.key)
            after = replace(after, keys={**after.keys, place: (command.body, expected)})
        return expected, after

    def create_user(self, state: State, command: Command) -> Outcome:
        if self.holder_of_email(state, command.body["email"], command.id):
            return refused(409, "email-taken", "email"), state
        nothing: Body = {"locale": None, "attributes": {}, "status": "active", "roles": {}}
        user = Aggregate(command.id, 1, {**nothing, "last_login_at": None, **given(command.body)})
        return Expected(201, 1, self.accepted(user)), state.with_user(user)

    def create_role(self, state: State, command: Command) -> Outcome:
        if self.holder_of_name(state, command.body["name"], command.id):
            return refused(409, "role-name-taken", "name"), state
        role = Aggregate(command.id, 1, {"description": "", **given(command.body)})
        return Expected(201, 1, role.shown()), state.with_role(role)

    # --- users -------------------------------------------------------------------------------

    def patch_user(self, state: State, command: Command, user: Aggregate) -> Outcome:
        patch = dict(command.body)
        if self.holder_of_email(state, patch.get("email", ""), user.id):
            return refused(409, "email-taken", "email"), state
        if "attributes" in patch:
            patch["attributes"] = merged(user.fields["attributes"], patch["attributes"])
        after = user if {**user.fields, **patch} == user.fields else user.changed(**patch)
        return Expected(200, after.version, self.accepted(after)), state.with_user(after)

    def delete_user(self, state: State, command: Command, user: Aggregate) -> Outcome:
        after = replace(user.changed(), live=False)
        return Expected(204, after.version), state.with_user(after)

    def assign_role(self, state: State, command: Command, user: Aggregate) -> Outcome:
        role = state.roles.get(command.role)
        if role is None or not role.live:
            return missing("role", role), state
        held = user.fields["roles"]
        if role.id in held:
            return Expected(204, user.version), state
        after = user.changed(roles={**held, role.id: role.fields["name"]})
        return Expected(204, after.version), state.with_user(after)

    def unassign_role(self, state: State, command: Command, user: Aggregate) -> Outcome:
        """A deleted role is still taken from who held it, which raises the version."""
        role = state.roles.get(command.role)
        held = user.fields["roles"]
        if command.role in held:
            after = user.changed(roles={k: v for k, v in held.items() if k != command.role})
            return Expected(204, after.version), state.with_user(after)
        if role is None or not role.live:
            return missing("role", role), state
        return Expected(204, user.version), state

    # --- roles -------------------------------------------------------------------------------

    def patch_role(self, state: State, command: Command, role: Aggregate) -> Outcome:
        patch = dict(command.body)
        if patch.get("name", role.fields["name"]) != role.fields["name"] and is_admin(role):
            return refused(409, "role-protected"), state
        if self.holder_of_name(state, patch.get("name", ""), role.id):
            return refused(409, "role-name-taken", "name"), state
        if "description" in patch:
            patch["description"] = patch["description"] or ""
        after = role if {**role.fields, **patch} == role.fields else role.changed(**patch)
        return Expected(200, after.version, after.shown()), state.with_role(after)

    def delete_role(self, state: State, command: Command, role: Aggregate) -> Outcome:
        if is_admin(role):
            return refused(409, "role-protected"), state
        after = replace(role.changed(), live=False)
        return Expected(204, after.version), state.with_role(after)

    # --- what is unique, and what is shown ----------------------------------------------------

    def holder_of_email(self, state: State, email: str, but: str) -> str | None:
        return _holder(state.users, "email", email, but)

    def holder_of_name(self, state: State, name: str, but: str) -> str | None:
        return _holder(state.roles, "name", name, but)

    def accepted(self, user: Aggregate) -> Body:
        """What a command answers with: the roles as they were assigned, for it reads no others."""
        return user.shown(roles=_references(user.fields["roles"]))

    def read_user(self, state: State, id_: str) -> Expected:
        """What a query shows: roles by their present names, and none that was deleted."""
        user = state.users.get(id_)
        if user is None or not user.live:
            return missing("user", user)
        held = (state.roles[role] for role in user.fields["roles"])
        present = {role.id: role.fields["name"] for role in held if role.live}
        return Expected(200, user.version, user.shown(roles=_references(present)))

    def read_role(self, state: State, id_: str) -> Expected:
        role = state.roles.get(id_)
        if role is None or not role.live:
            return missing("role", role)
        return Expected(200, role.version, role.shown())

    def read(self, state: State, noun: str, id_: str) -> Expected:
        return self.read_role(state, id_) if noun == "role" else self.read_user(state, id_)

    def listed(self, state: State, noun: str, filters: Mapping[str, str]) -> list[Body]:
        """What a list with these filters shows, in no order."""
        answers = (self.read(state, noun, a.id) for a in state.of(noun).values() if a.live)
        shown = [a.body for a in answers if a.body]
        return [b for b in shown if all(_FILTERS[n](b, v) for n, v in filters.items())]


def _holder(those: Mapping[str, Aggregate], name: str, value: str, but: str) -> str | None:
    """The live one that has the value, in any letter case."""
    holders = (a for a in those.values() if a.live and a.id != but)
    same = (a.id for a in holders if _same(a.fields[name], value))
    return next(same, None)


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


_FILTERS: Mapping[str, Callable[[Body, str], bool]] = {
    "q": lambda b, v: v.casefold() in b["name"].casefold() or v in b["email"].casefold(),
    "email": lambda b, v: _same(b["email"], v),
    "name": lambda b, v: _same(b["name"], v),
    "role": lambda b, v: any(r["id"] == v or _same(r["name"], v) for r in b["roles"]),
    "status": lambda b, v: bool(b["status"] == v),
}


def _references(roles: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"id": id_, "name": name} for id_, name in sorted(roles.items())]


def is_admin(role: Aggregate) -> bool:
    return bool(role.fields["name"].casefold() == ADMIN)


def refused(status: int, problem: str, *fields: str) -> Expected:
    return Expected(status, problem=problem, fields=frozenset(fields))


def missing(noun: str, was: Aggregate | None) -> Expected:
    return replace(refused(404, f"{noun}-not-found"), deleted=was is not None)


def given(body: Body) -> Body:
    """A null is what was not given."""
    return {name: value for name, value in body.items() if value is not None}


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396; a null in place of the whole is an empty object."""
    if patch is None:
        return {}
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_VALID: Mapping[str, Callable[[Any], bool]] = {
    "email": lambda v: isinstance(v, str) and bool(_EMAIL.fullmatch(v)),
    "name": lambda v: isinstance(v, str) and bool(v.strip()),
    "locale": lambda v: v is None or bool(re.fullmatch(r"[a-z]{2}(-[A-Z]{2})?", v)),
    "attributes": lambda v: v is None or isinstance(v, dict),
    "status": lambda v: v in ("active", "suspended"),
    "description": lambda v: v is None or isinstance(v, str),
    "permissions": lambda v: isinstance(v, list) and len(set(v)) == len(v),
}
# kind → what must be given, and what may be.
_FIELDS = {
    "create_user": ({"email", "name"}, {"locale", "attributes"}),
    "patch_user": (set[str](), {"email", "name", "locale", "attributes", "status"}),
    "create_role": ({"name", "permissions"}, {"description"}),
    "patch_role": (set[str](), {"name", "permissions", "description"}),
}


def faults_of(command: Command) -> set[str]:
    """The fields at fault, as far as the runs send such."""
    required, optional = _FIELDS.get(command.kind, (set(), set()))
    faults = (command.body.keys() - required - optional) | (required - command.body.keys())
    known = command.body.keys() & (required | optional)
    return faults | {name for name in known if not _VALID[name](command.body[name])}
