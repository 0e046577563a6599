"""The wire form: golden files of every event, and everything that is refused."""

import contextlib
import json
import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import EVENT_TYPES, Record, UnpublishedEvent
from rollcall_events.codec import Malformed, RawRecord, UnknownType, decode, encode
from rollcall_events.ids import is_uuid, uuid7
from rollcall_events.partitioner import partition_of

GOLDEN = Path(__file__).parent / "golden"
USER = "01890a5d-ac96-774b-bcce-b302099a8057"
ROLE = "01890a5d-ac96-774b-bcce-b302099a8058"
PARTITIONS = 50


def person() -> pb.Person:
    message = pb.Person(email="ada@example.com", name="Ada Lovelace", locale="en-GB")
    message.attributes.update({"team": "engines", "level": 3, "tags": ["a", None], "on": True})
    return message


MESSAGES: dict[str, Message] = {
    "UserCreatedEvent": pb.UserCreatedEvent(
        user_id=USER, person=person(), status=pb.USER_STATUS_ACTIVE
    ),
    "UserUpdatedEvent": pb.UserUpdatedEvent(
        user_id=USER, person=pb.Person(name="Ada King"), status=pb.USER_STATUS_SUSPENDED
    ),
    "UserDeletedEvent": pb.UserDeletedEvent(user_id=USER),
    "UserLoggedInEvent": pb.UserLoggedInEvent(user_id=USER),
    "RoleAssignedToUserEvent": pb.RoleAssignedToUserEvent(
        user_id=USER, role_id=ROLE, role_name="ops"
    ),
    "RoleUnassignedFromUserEvent": pb.RoleUnassignedFromUserEvent(
        user_id=USER, role_id=ROLE, role_name="ops"
    ),
    "RoleCreatedEvent": pb.RoleCreatedEvent(
        role_id=ROLE, name="ops", description="Operators", permissions=["users:read"]
    ),
    "RoleUpdatedEvent": pb.RoleUpdatedEvent(
        role_id=ROLE, name="operators", permissions=pb.Permissions(values=["*"])
    ),
    "RoleDeletedEvent": pb.RoleDeletedEvent(role_id=ROLE),
}


def event(name: str) -> UnpublishedEvent:
    message = MESSAGES[name]
    return UnpublishedEvent(
        id="01890a5d-ac96-774b-bcce-b302099a8059",
        type=f"rollcall.users.v1.{name}",
        key=ROLE if name in ("RoleCreatedEvent", "RoleUpdatedEvent", "RoleDeletedEvent") else USER,
        source="/services/user-management",
        time=datetime(2026, 11, 23, 9, 30, 0, 123456, UTC),
        message=message,
        sequence=7,
        actor=f"users/{USER}",
        command_id="c0ffee",
        correlation_id="request-1",
        causation_id="c0ffee",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        tracestate="rojo=00f067aa0ba902b7",
    )


def raw(record: Record, **changes: Any) -> RawRecord:
    partition = partition_of(record.key, PARTITIONS)
    read = RawRecord(
        record.topic, partition, 5, record.key, record.value, record.headers, 1_795_000_000_123
    )
    return read._replace(**changes)


def with_header(record: Record, name: str, value: bytes | None) -> RawRecord:
    headers = [(n, v) for n, v in record.headers if n != name]
    return raw(record, headers=headers if value is None else [*headers, (name, value)])


def wire_form(record: Record) -> dict[str, Any]:
    return {
        "topic": record.topic,
        "key": record.key.decode(),
        "headers": {name: value.decode() for name, value in record.headers},
        "value": record.value.hex(),
    }


def test_every_event_has_a_golden_file() -> None:
    assert {f"rollcall.users.v1.{p.stem}" for p in GOLDEN.glob("*.json")} == set(EVENT_TYPES)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_wire_form_is_the_golden_one(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    assert wire_form(encode(event(name), "users")) == golden


@pytest.mark.parametrize("name", MESSAGES)
def test_a_golden_file_is_read_as_the_event(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    headers = [(n, v.encode()) for n, v in golden["headers"].items()]
    record = Record(
        golden["topic"], golden["key"].encode(), bytes.fromhex(golden["value"]), tuple(headers)
    )
    read = decode(raw(record), PARTITIONS)
    assert MessageToDict(read.message) == MessageToDict(event(name).message)
    assert replace(event(name)) == UnpublishedEvent(
        **{f: getattr(read, f) for f in UnpublishedEvent.__dataclass_fields__}
    )
    assert (read.position.offset, read.recorded_at.microsecond) == (5, 123_000)


RECORD = encode(event("UserCreatedEvent"), "users")
OTHER_USER = pb.UserCreatedEvent(user_id=ROLE, person=person()).SerializeToString()
NUL = pb.UserCreatedEvent(user_id=USER, person=pb.Person(name="a\0b")).SerializeToString()
LONG = pb.UserCreatedEvent(user_id=USER, person=pb.Person(name="é" * 1_100)).SerializeToString()
NAN = pb.UserCreatedEvent(user_id=USER, person=pb.Person())
NAN.person.attributes.update({"a": [float("nan")]})
NAN_WITHOUT_A_ZERO_BYTE = pb.UserCreatedEvent(user_id=USER)
(ODD,) = struct.unpack("<d", b"\1\1\1\1\1\1\xf8\x7f")
NAN_WITHOUT_A_ZERO_BYTE.person.attributes.update({"a": ODD})
NOTHING = pb.UserCreatedEvent(user_id=USER)
NOTHING.person.attributes.fields["a"].SetInParent()
STATUS = pb.UserCreatedEvent(user_id=USER, status=99).SerializeToString()  # type: ignore[arg-type]

REFUSED = {
    "no key": raw(RECORD, key=None),
    "a key that is no UUID": raw(RECORD, key=b"\xff\xfe"),
    "an upper-case key": raw(RECORD, key=USER.upper().encode()),
    "wrong partition": raw(RECORD, partition=(raw(RECORD).partition + 1) % PARTITIONS),
    "no headers": raw(RECORD, headers=[]),
    "no type": with_header(RECORD, "ce_type", None),
    "another version of CloudEvents": with_header(RECORD, "ce_specversion", b"0.3"),
    "an id that is no UUID": with_header(RECORD, "ce_id", b"42"),
    "another subject": with_header(RECORD, "ce_subject", f"users/{ROLE}".encode()),
    "a subject of another collection": with_header(RECORD, "ce_subject", f"roles/{USER}".encode()),
    "no time": with_header(RECORD, "ce_time", None),
    "a time without a zone": with_header(RECORD, "ce_time", b"2026-11-23T09:30:00"),
    "a time that does not exist": with_header(RECORD, "ce_time", b"2026-13-23T09:30:00Z"),
    "a time before time": with_header(RECORD, "ce_time", b"0001-01-01T00:00:00+10:00"),
    "a sequence that is no number": with_header(RECORD, "ce_sequence", b"-1"),
    "a header that is not UTF-8": with_header(RECORD, "ce_actor", b"\xff"),
    "a header with NUL": with_header(RECORD, "ce_actor", b"a\0b"),
    "a long header": with_header(RECORD, "ce_actor", b"a" * 2_000),
    "no value": raw(RECORD, value=None),
    "random bytes": raw(RECORD, value=b"\x99\x01\x02\xff"),
    "too large": raw(RECORD, value=b"\0" * 600_000),
    "another user in the message": raw(RECORD, value=OTHER_USER),
    "NUL in a text": raw(RECORD, value=NUL),
    "a text too long for an index": raw(RECORD, value=LONG),
    "a number that is none": raw(RECORD, value=NAN.SerializeToString()),
    "a number that is none, without a byte that is zero": raw(
        RECORD, value=NAN_WITHOUT_A_ZERO_BYTE.SerializeToString()
    ),
    "an attribute without a value": raw(RECORD, value=NOTHING.SerializeToString()),
    "an unknown status": raw(RECORD, value=STATUS),
    "a header name that is not UTF-8": raw(RECORD, headers=None),
    "a time in another notation": with_header(RECORD, "ce_time", b"20261123T093000Z"),
    "a time by its week": with_header(RECORD, "ce_time", b"2026-W01-1T09:30:00.123456Z"),
    "a second too many": with_header(RECORD, "ce_time", b"2026-11-23T09:30:61.123456Z"),
    "headers of which one is long": with_header(RECORD, "traceparent", b"0" * 1_025),
    "an assignment of no role": raw(
        encode(event("RoleAssignedToUserEvent"), "users"),
        value=pb.RoleAssignedToUserEvent(user_id=USER, role_name="ops").SerializeToString(),
    ),
    "a role that is no UUID": raw(
        encode(event("RoleAssignedToUserEvent"), "users"),
        value=pb.RoleAssignedToUserEvent(user_id=USER, role_id="x").SerializeToString(),
    ),
}


@pytest.mark.parametrize("record", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_is_refused(record: RawRecord) -> None:
    with pytest.raises(Malformed):
        decode(record, PARTITIONS)


def test_the_record_that_the_refusals_vary_is_accepted() -> None:
    assert decode(raw(RECORD), PARTITIONS).key == USER


def test_a_leap_second_and_a_fine_fraction_are_read() -> None:
    read = decode(with_header(RECORD, "ce_time", b"2026-12-31t23:59:60.123456789z"), PARTITIONS)
    assert read.time == datetime(2026, 12, 31, 23, 59, 59, 123456, UTC)


def test_an_unknown_type_is_not_malformed() -> None:
    with pytest.raises(UnknownType):
        decode(with_header(RECORD, "ce_type", b"rollcall.users.v9.Event"), PARTITIONS)


def test_headers_of_others_pass_by() -> None:
    assert decode(with_header(RECORD, "x-foreign", b"\xff" * 5_000), PARTITIONS).key == USER


@given(st.binary(max_size=200), st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50))))
def test_no_bytes_do_anything_but_decode_or_be_refused(
    value: bytes, headers: list[tuple[str, bytes | None]]
) -> None:
    for record in (raw(RECORD, value=value), raw(RECORD, headers=headers)):
        with contextlib.suppress(Malformed):
            assert decode(record, PARTITIONS).key == USER


def test_ids_sort_by_their_time() -> None:
    ids = [uuid7() for _ in range(100)]
    assert all(is_uuid(i) and i[14] == "7" and i[19] in "89ab" for i in ids)
    assert [i[:13] for i in ids] == sorted(i[:13] for i in ids)
