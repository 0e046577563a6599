"""The form of commands: what is refused by name, and what is tidied."""

from typing import Any

import pytest

from rollcall.users.v1 import commands_pb2 as pb
from rollcall.users.v1.events_pb2 import Permissions
from rollcall_events.ids import uuid7
from rollcall_user_management.commands.validation import InvalidFields, validated
from rollcall_user_management.domain.attributes import to_struct
from rollcall_user_management.queries import cursor


def context(**changes: str) -> pb.CommandContext:
    fields = {"command_id": "c", "actor": "services/test", "correlation_id": ""} | changes
    return pb.CommandContext(**fields)


def create(**changes: Any) -> pb.CreateUserRequest:
    fields: dict[str, Any] = {"user_id": uuid7(), "email": "a@x.org", "name": "A"}
    fields |= {"context": context()} | changes
    return pb.CreateUserRequest(**fields)


def create_role(**changes: Any) -> pb.CreateRoleRequest:
    fields: dict[str, Any] = {"context": context(), "role_id": uuid7(), "name": "ops"} | changes
    return pb.CreateRoleRequest(**fields)


NESTED: dict[str, Any] = {}
for _ in range(25):
    NESTED = {"a": NESTED}

WRONG: dict[str, list[Any]] = {
    "email": [
        create(email=bad)
        for bad in ("", "ada", "ada@", "@x.org", "a b@x.org", "a@x", "a" * 250 + "@x.org")
    ],
    "name": [create(name=bad) for bad in ("", "   ", "a" * 201, "a\x07b", "a\0b", "a\nb")],
    "locale": [create(locale=bad) for bad in ("e", "english please", "en_GB", "en-" + "a" * 40)],
    "user_id": [create(user_id=bad) for bad in ("", "42", uuid7().upper())],
    "attributes": [
        create(attributes=to_struct(bad))
        for bad in ({"a": "x" * 40_000}, NESTED, {"a": "\0"}, {"\0": 1}, {"a": [float("inf")]})
    ],
    "context.actor": [create(context=context(actor=bad)) for bad in ("", "ada", "users/", "a/b")],
    "context.command_id": [create(context=context(command_id=bad)) for bad in ("", "c" * 201)],
    "status": [pb.UpdateUserRequest(context=context(), user_id=uuid7(), status=99)],  # type: ignore[arg-type]
    "description": [create_role(description=bad) for bad in ("d" * 501, "d\x1b")],
    "permissions": [
        create_role(permissions=bad) for bad in ([""], ["A"], ["a b"], ["x", "x"], ["p"] * 201)
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "command"), [(f, c) for f, commands in WRONG.items() for c in commands]
)
def test_a_malformed_field_is_named(field: str, command: Any) -> None:
    with pytest.raises(InvalidFields) as refused:
        validated(command)
    assert {name for name, _ in refused.value.problems} == {field}


def test_every_field_at_fault_is_named() -> None:
    with pytest.raises(InvalidFields) as refused:
        validated(create(email="x", name=""))
    assert [name for name, _ in refused.value.problems] == ["email", "name"]


def test_texts_are_put_in_normal_form() -> None:
    tidy = validated(create(email=" Ada@EXAMPLE.org ", name="  Ame\u0301lie "))
    assert (tidy.email, tidy.name) == ("Ada@example.org", "Am\u00e9lie")


def test_what_an_update_does_not_carry_is_not_checked() -> None:
    command = pb.UpdateUserRequest(context=context(), user_id=uuid7(), name="B")
    assert validated(command) == command
    role = pb.UpdateRoleRequest(
        context=context(), role_id=uuid7(), permissions=Permissions(values=["users:read"])
    )
    assert validated(role) == role


def test_a_cursor_answers_only_its_own_question() -> None:
    id_ = uuid7()
    made = cursor.encode(["q", "email"], "value", id_)
    assert cursor.decode(made, ["q", "email"]) == ("value", id_)
    nul = cursor.encode(["q"], "\0", id_)
    deep = b"[" * 100_000
    for forged, question in (
        (nul, ["q"]),
        (deep, ["q"]),
        (b"null", ["q"]),
        (made, ["q", "name"]),
        (b"{}", ["q"]),
        (b"\xff", ["q"]),
        (b"[1,2]", ["q"]),
    ):
        with pytest.raises(cursor.InvalidCursor):
            cursor.decode(forged, question)
