"""JSON ⇄ protobuf: nothing is lost, and a merge patch keeps its meaning on the way."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.users.v1 import commands_pb2, queries_pb2
from rollcall.users.v1.events_pb2 import Permissions
from rollcall_gateway.bodies import UpdateRole, UpdateUser
from rollcall_gateway.ids import canonical_uuid, uuid7
from rollcall_gateway.patches import role_patch, user_patch
from rollcall_gateway.preconditions import expected_version, not_modified
from rollcall_gateway.representations import from_struct, to_struct, user
from rollcall_gateway.testing import merge
from rollcall_gateway.text import MAX_EXACT_INTEGER, check_attributes

exact = st.integers(-MAX_EXACT_INTEGER, MAX_EXACT_INTEGER)
scalars = st.none() | st.booleans() | exact | st.floats(allow_nan=False, allow_infinity=False)
keys = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5)
values = st.recursive(
    scalars | keys, lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=3)
)
objects = st.dictionaries(keys, values, max_size=4)


def rfc7396(target: Any, patch: Any) -> Any:
    """The pseudocode of the RFC's section 2."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = rfc7396(result.get(name), value)
    return result


@given(objects)
def test_attributes_survive_protobuf(attributes: dict[str, Any]) -> None:
    shown = from_struct(to_struct(attributes))
    assert shown == attributes
    assert json.loads(msgspec.json.encode(shown)) == json.loads(json.dumps(attributes))


@given(exact)
def test_whole_numbers_stay_whole(number: int) -> None:
    shown = from_struct(to_struct({"n": number}))["n"]
    assert (shown, type(shown)) == (number, int)


@given(objects)
def test_what_may_be_carried_passes(attributes: dict[str, Any]) -> None:
    assert not list(check_attributes("attributes", attributes))


@given(objects, objects | st.none())
def test_a_patch_of_attributes_means_what_rfc_7396_says(
    attributes: dict[str, Any], patch: dict[str, Any] | None
) -> None:
    body = msgspec.json.decode(msgspec.json.encode({"attributes": patch}), type=UpdateUser)
    request = commands_pb2.UpdateUserRequest(**user_patch(body))
    base = {} if request.clear_attributes else attributes
    patched = merge(base, from_struct(request.attributes_patch))
    expected = rfc7396({"attributes": attributes}, {"attributes": patch}).get("attributes", {})
    assert patched == expected


@given(
    st.fixed_dictionaries({}, optional={"email": keys, "name": keys, "locale": keys | st.none()})
)
def test_only_what_is_mentioned_is_sent(patch: dict[str, Any]) -> None:
    body = msgspec.json.decode(msgspec.json.encode(patch), type=UpdateUser)
    request = commands_pb2.UpdateUserRequest(**user_patch(body))
    sent = {field.name: value for field, value in request.ListFields()}
    present = {name for name in ("email", "name", "locale") if request.HasField(name)}
    assert present == patch.keys()
    assert all((sent.get(name) or "") == (value or "") for name, value in patch.items())
    assert sent.keys() <= patch.keys()


@pytest.mark.parametrize(
    ("patch", "request_"),
    [
        ({}, commands_pb2.UpdateRoleRequest()),
        ({"name": "n"}, commands_pb2.UpdateRoleRequest(name="n")),
        ({"description": None}, commands_pb2.UpdateRoleRequest(description="")),
        ({"permissions": []}, commands_pb2.UpdateRoleRequest(permissions=Permissions())),
        (
            {"permissions": ["a"]},
            commands_pb2.UpdateRoleRequest(permissions=Permissions(values="a")),
        ),
    ],
)
def test_an_empty_list_of_permissions_is_not_an_absent_one(
    patch: dict[str, Any], request_: commands_pb2.UpdateRoleRequest
) -> None:
    body = msgspec.json.decode(msgspec.json.encode(patch), type=UpdateRole)
    assert commands_pb2.UpdateRoleRequest(**role_patch(body)) == request_


def test_numbers_that_json_has_not_are_null() -> None:
    message = queries_pb2.User(attributes=to_struct({"n": float("nan"), "i": float("inf")}))
    encoded = msgspec.json.decode(msgspec.json.encode(user(message)))
    assert encoded["attributes"] == {"n": None, "i": None}


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_ids_are_uuids_of_version_7(milliseconds: int, entropy: int) -> None:
    made = uuid7(milliseconds, entropy)
    assert canonical_uuid(made) == made
    assert (made[14], made[19] in "89ab") == ("7", True)
    assert int(made.replace("-", "")[:12], 16) == milliseconds


def test_ids_sort_by_time_and_differ_within_it() -> None:
    assert uuid7(1) < uuid7(2) < uuid7()
    assert len({uuid7(5) for _ in range(1000)}) == 1000


@given(st.integers(0, 10**18 - 1))
def test_an_entity_tag_is_read_as_it_was_written(version: int) -> None:
    assert expected_version([f'"{version}"']) == version
    assert not_modified([f'"{version}"'], version)
    assert not not_modified([f'"{version + 1}"'], version)
