"""An event that user-management cannot handle yet holds up its own user, and nobody else."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from e2e.local_platform import Platform
from e2e.outside import publish_plainly, record_of
from e2e.people import create, new_email, seen
from e2e.stores import rows
from e2e.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb

_PARKED = 30.0  # seconds, also where partitions are just moving


@pytest.fixture
def held(api: httpx.Client, broker: str, platform: Platform) -> Iterator[dict[str, Any]]:
    """A user with an event of a type that is not known yet, and a sound one behind it."""
    user: dict[str, Any] = create(api, "held").json()
    later = record_of(
        user["id"], pb.UserUpdatedEvent(user_id=user["id"], person=pb.Person(name="Behind"))
    )
    unknown = {**later, "headers": {**later["headers"], "ce_type": "rollcall.users.v1.UserMerged"}}
    unknown["headers"]["ce_id"] = user["id"]
    publish_plainly(broker, unknown)
    publish_plainly(broker, later)
    eventually(lambda: [s["held"] for s in _listed(platform, user["id"])] == [1], within=_PARKED)
    yield user
    for _ in _listed(platform, user["id"]):
        _discard(platform, user["id"])


def test_reads_and_commands_say_so_at_once(api: httpx.Client, held: dict[str, Any]) -> None:
    path = f"/v1/users/{held['id']}"
    for answer in (
        api.get(path),
        api.patch(path, json={"name": "Else"}),
        api.delete(path),
    ):
        assert answer.status_code == 503, answer.text
        assert answer.json()["type"] == "urn:rollcall:problem:sequence-parked"
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.elapsed.total_seconds() < 2
    taken = api.post("/v1/users", json={"email": held["email"], "name": "Other"})
    assert taken.status_code == 409
    assert taken.elapsed.total_seconds() < 2


def test_others_go_on(api: httpx.Client, held: dict[str, Any]) -> None:
    other = create(api, "other")
    answer = api.get(f"/v1/users/{other.json()['id']}", headers=seen(other))
    assert answer.json()["email"] == other.json()["email"] != held["email"]


def test_the_operators_see_it(held: dict[str, Any], platform: Platform) -> None:
    (sequence,) = _listed(platform, held["id"])
    assert sequence["group"] == "user-management"
    assert "UserMerged" in sequence["reason"]
    (shown,) = json.loads(platform.run("parked", "show", held["id"], "--json"))
    assert [r["data"] and r["data"]["person"]["name"] for r in shown["records"]] == [None, "Behind"]
    assert "user-management holds events of" in platform.run("status")
    missing = platform.ask("parked", "show", "018f0000-0000-7000-8000-000000000001")
    assert missing.code == 1
    assert "nothing of" in missing.err
    assert platform.ask("parked", "redrive").code == 2
    again = platform.ask("parked", "redrive", held["id"], "--json")
    assert again.code == 1  # this version still does not know the type
    assert json.loads(again.out)["runs"][0]["left"] == 2
    assert _listed(platform, held["id"])[0]["attempts"] == 2


def test_what_is_discarded_is_rejected_and_the_user_goes_on(
    api: httpx.Client, held: dict[str, Any], platform: Platform
) -> None:
    tried = _discard(platform, held["id"], "--dry-run")
    assert tried == _discard(platform, held["id"])
    assert (tried["rejected"], tried["applied"], tried["left"]) == (1, 1, 0)
    user = api.get(f"/v1/users/{held['id']}").json()
    assert (user["name"], user["version"]) == ("Behind", 2)
    assert api.patch(f"/v1/users/{held['id']}", json={"email": new_email("x")}).status_code == 200
    position = rows(
        platform,
        'SELECT reason FROM user_management.discards d JOIN inbox i USING (partition, "offset")'
        " WHERE i.key = %s",
        held["id"],
    )
    assert position == [("a test",)]
    history = rows(
        platform, 'SELECT rejected FROM history WHERE key = %s ORDER BY "offset"', held["id"]
    )
    assert history[:3] == [(None,), ("discarded: a test",), (None,)]


def _listed(platform: Platform, key: str) -> list[dict[str, Any]]:
    found = json.loads(platform.run("parked", "list", "--json"))
    return [sequence for sequence in found if sequence["key"] == key]


def _discard(platform: Platform, key: str, *options: str) -> dict[str, Any]:
    place = _listed(platform, key)[0]["position"]
    partition, offset = place["partition"], place["offset"]
    said = platform.run(
        *("parked", "discard", key, "--group", "user-management", "--at", f"{partition}/{offset}"),
        *("--reason", "a test", "--json", *options),
    )
    run: dict[str, Any] = json.loads(said)["runs"][0]
    return run
