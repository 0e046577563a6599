"""One POST becomes an event, a row, an e-mail and a Slack message; and the rest of a life."""

import re
import uuid
from datetime import UTC, datetime
from typing import cast

import httpx
import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message
from e2e.kafka_log import partition_of, records_of
from e2e.local_platform import Platform
from e2e.messages import WELCOME, mails_to, slack_messages, text_of
from e2e.people import create, new_email, second_admin, seen
from e2e.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb

_CREATED = "rollcall.users.v1.UserCreatedEvent"


def test_the_answer(api: httpx.Client) -> None:
    answer = create(api, "ada", locale="de-CH", attributes={"team": "engines"})
    user = answer.json()
    assert uuid.UUID(user["id"]).version == 7
    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["Location"] == f"/v1/users/{user['id']}"
    assert answer.headers["Consistency-Token"]
    assert user["version"] == 1
    assert user["status"] == "active"
    assert user["locale"] == "de-CH"
    assert user["attributes"] == {"team": "engines"}


def test_a_query_with_the_token_sees_it_at_once(api: httpx.Client) -> None:
    for _ in range(20):
        created = create(api, "ada")
        read = api.get(created.headers["Location"], headers=seen(created))
        assert read.status_code == 200
        assert read.json() == created.json()
        assert read.headers["ETag"] == created.headers["ETag"]
        found = api.get("/v1/users", params={"email": read.json()["email"]}, headers=seen(created))
        assert found.json()["users"] == [created.json()]


def test_the_event_in_the_log(api: httpx.Client, broker: str) -> None:
    created = create(api, "ada", attributes={"team": "engines"})
    user = created.json()
    (record,) = records_of(broker, user["id"])
    assert record.partition() == partition_of(broker, user["id"])
    event = pb.UserCreatedEvent.FromString(record.value() or b"")
    assert (event.user_id, event.person.email) == (user["id"], user["email"])
    assert dict(event.person.attributes) == {"team": "engines"}


@pytest.mark.usefixtures("kafka")
def test_the_moment_is_the_brokers(api: httpx.Client, broker: str) -> None:
    created = create(api, "ada")
    (record,) = records_of(broker, created.json()["id"])
    kind, milliseconds = record.timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    recorded = datetime.fromtimestamp(milliseconds / 1000, UTC)
    assert datetime.fromisoformat(created.json()["created_at"]) == recorded


TRACE = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "rojo=00f067aa0ba902b7",
}


def test_the_headers_of_the_event(api: httpx.Client, broker: str) -> None:
    first = api.get("/v1/users", params={"email": "admin@example.com"}).json()["users"][0]
    body = {"email": new_email("ada"), "name": "Ada"}
    created = api.post("/v1/users", json=body, headers={"X-Correlation-ID": "request-7", **TRACE})
    (record,) = records_of(broker, created.json()["id"])
    headers = _headers(record)
    key = created.json()["id"]
    assert (
        headers
        | {
            "content-type": "application/protobuf",
            "ce_specversion": "1.0",
            "ce_type": _CREATED,
            "ce_source": "/services/user-management",
            "ce_subject": f"users/{key}",
            "ce_partitionkey": key,
            "ce_dataschema": f"type.googleapis.com/{_CREATED}",
            "ce_sequence": "1",
            "ce_actor": f"users/{first['id']}",
            "ce_correlationid": "request-7",
            **TRACE,
        }
        == headers
    )
    assert uuid.UUID(headers["ce_id"]).version == 7
    assert headers["ce_commandid"]
    assert headers["ce_causationid"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", headers["ce_time"])
    assert abs((datetime.now(UTC) - datetime.fromisoformat(headers["ce_time"])).seconds) < 60


def test_the_welcome_mail(api: httpx.Client, platform: Platform) -> None:
    user = create(api, "ada", name="Ada Lovelace").json()
    (mail,) = eventually(lambda: mails_to(platform, user["email"]), within=10)
    assert mail["Subject"] == WELCOME
    assert "Ada Lovelace" in text_of(platform, mail)


def test_the_other_admin_is_told_and_the_actor_is_not(
    api: httpx.Client, platform: Platform
) -> None:
    with second_admin(api, platform) as other:
        user = create(api, "ada", name=f"Ada {uuid.uuid4().hex[:8]}").json()
        eventually(
            lambda: any(user["name"] in text for text in slack_messages(platform, other["email"])),
            within=20,
        )
    told = slack_messages(platform, "admin@example.com")
    assert not [text for text in told if user["name"] in text]


def test_a_life(api: httpx.Client, platform: Platform) -> None:
    created = create(api, "ada")
    path, email = created.headers["Location"], created.json()["email"]
    renamed = api.patch(path, json={"name": "Countess"}, headers={"If-Match": '"1"'})
    assert (renamed.status_code, renamed.headers["ETag"]) == (200, '"2"')
    assert renamed.json()["name"] == "Countess"
    late = api.patch(path, json={"name": "Ada"}, headers={"If-Match": '"1"'})
    assert (late.status_code, late.headers["ETag"]) == (412, '"2"')
    suspended = api.patch(path, json={"status": "suspended"})
    assert suspended.json()["status"] == "suspended"
    read = api.get(path, headers=seen(suspended))
    assert read.json() == suspended.json()
    deleted = api.delete(path, headers={"If-Match": '"3"'})
    assert deleted.status_code == 204
    gone = api.get(path, headers=seen(deleted))
    assert gone.status_code == 404
    assert datetime.fromisoformat(gone.json()["deleted_at"])
    again = api.post("/v1/users", json={"email": email, "name": "Ada"})
    assert again.status_code == 201
    assert again.headers["Location"] != path
    subjects = eventually(lambda: _has_mails(platform, email, 5), within=10)
    assert subjects.count(WELCOME) == 2


def test_roles(api: httpx.Client) -> None:
    name = f"editor-{uuid.uuid4().hex[:8]}"
    role = api.post("/v1/roles", json={"name": name, "permissions": ["documents:write"]})
    assert role.status_code == 201
    created = create(api, "ada")
    path = created.headers["Location"]
    held = f"{path}/roles/{role.json()['id']}"
    granted = api.put(held, headers=seen(role))
    assert (granted.status_code, granted.headers["ETag"]) == (204, '"2"')
    user = api.get(path, headers=seen(granted)).json()
    assert user["roles"] == [{"id": role.json()["id"], "name": name}]
    listed = api.get("/v1/users", params={"role": name}, headers=seen(granted)).json()["users"]
    assert [u["id"] for u in listed] == [user["id"]]
    revoked = api.delete(held)
    assert (revoked.status_code, revoked.headers["ETag"]) == (204, '"3"')
    assert api.get(path, headers=seen(revoked)).json()["roles"] == []
    assert api.delete(role.headers["Location"]).status_code == 204


def _has_mails(platform: Platform, address: str, count: int) -> list[str]:
    subjects = [mail["Subject"] for mail in mails_to(platform, address)]
    assert len(subjects) == count, subjects
    return subjects


def _headers(record: Message) -> dict[str, str]:
    pairs = cast("list[tuple[str, bytes]]", record.headers())
    headers = {name: value.decode() for name, value in pairs}
    assert len(headers) == len(pairs)  # each once
    return headers
