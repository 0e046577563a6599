"""Events that user-management cannot handle: many of one user hold up that user, and those of many
users stop it, because nothing is wrong with so many of them. On a platform of its own, which stays
stopped."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from e2e.local_platform import Platform
from e2e.outside import publish_all_plainly, record_of
from e2e.people import create, seen
from e2e.waiting import eventually
from model.remote import client

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events.ids import uuid7
from rollcall_local.home import Home
from rollcall_local.supervisor import SCALE

_MANY = 500
_SOON = 1.0  # seconds, for another user's event
_WITHIN = 30.0  # seconds
_UNKNOWN = "rollcall.users.v1.UserMerged"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = Home(tmp_path_factory.mktemp("platform") / "state")
    home.create()
    home.write(SCALE, {"email-notification": 0, "slack-notification": 0})
    with Platform(home.root).running() as platform:
        yield platform


@pytest.fixture
def api(platform: Platform) -> Iterator[httpx.Client]:
    with client(platform.url, platform.run("token").strip()) as opened:
        yield opened


def test_one_hot_key_stops_nothing(platform: Platform, api: httpx.Client) -> None:
    hot: str = create(api, "hot").json()["id"]
    _publish(platform, *[hot] * _MANY)
    eventually(lambda: _behind_the_parked(platform) == [_MANY - 1], within=_WITHIN)
    other = create(api, "other")
    answer = api.get(f"/v1/users/{other.json()['id']}", headers=seen(other))
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() < _SOON
    assert _states(platform) == ["running"] * 3


def test_many_keys_stop_every_replica_and_the_status_says_why(platform: Platform) -> None:
    _publish(platform, *(uuid7() for _ in range(_MANY)))

    def stopped() -> None:
        states = _states(platform)
        assert len(states) == 3
        for state in states:
            assert state.startswith("stopped: more than 20 keys could not be handled")

    eventually(stopped, within=_WITHIN)
    said = " ".join(platform.run("status").split())
    assert "more than 20 keys" in said


def _publish(platform: Platform, *keys: str) -> None:
    """An event of a type that is not known yet, for each key."""
    servers = str(platform.status()["broker"]["bootstrap_servers"])
    publish_all_plainly(servers, [_unknown(key) for key in keys])


def _unknown(key: str) -> dict[str, Any]:
    record = record_of(key, pb.UserDeletedEvent(user_id=key))
    record["headers"]["ce_type"] = _UNKNOWN
    return record


def _behind_the_parked(platform: Platform) -> list[int]:
    """How many events each parked one holds up."""
    said = platform.run("parked", "list", "--group", "user-management", "--json")
    return [sequence["held"] for sequence in json.loads(said)]


def _states(platform: Platform) -> list[str]:
    return [replica["state"] for replica in platform.replicas("user-management")]
