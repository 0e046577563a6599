"""Events that other processes publish: applied where they are right, rejected where not."""

import secrets
import uuid
from typing import Any

import httpx
import pytest
from e2e.kafka_log import PARTITIONS, partition_of
from e2e.local_platform import Platform
from e2e.messages import mails_to
from e2e.outside import publish_plainly, publish_with_library, record_of
from e2e.people import create, new_email, seen
from e2e.stores import rows
from e2e.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb

_PROJECTED = 30.0  # seconds, also where partitions are just moving from dead replicas


def test_with_the_library(api: httpx.Client, broker: str, platform: Platform) -> None:
    user = {"id": str(uuid.uuid4()), "email": new_email("lib"), "name": "Lib"}
    publish_with_library(broker, user)
    shown = eventually(lambda: _shown(api, user["id"]), within=_PROJECTED)
    assert shown.items() > user.items()
    assert (shown["version"], shown["conflict"]) == (1, False)
    eventually(lambda: bool(mails_to(platform, user["email"])), within=_PROJECTED)


def test_without_the_library(api: httpx.Client, broker: str) -> None:
    """The key alone decides the partition, so a stranger's update lands behind the creation."""
    user = create(api, "ada").json()
    publish_plainly(broker, _update(user["id"], name="Plain"))
    eventually(lambda: _shown(api, user["id"])["name"] == "Plain", within=_PROJECTED)
    assert _shown(api, user["id"])["version"] == 2
    answer = api.patch(f"/v1/users/{user['id']}", json={"name": "Ours"})
    assert answer.headers["ETag"] == '"3"'


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda r, p: r | {"partition": (p + 1) % PARTITIONS}, "wrong partition for the key"),
        (lambda r, p: r | {"value": secrets.token_hex(300)}, "the value does not decode"),
        (
            lambda r, p: r | {"value": secrets.token_hex(300), "headers": {}, "partition": p},
            "not a CloudEvent 1.0 in binary mode",
        ),
        (lambda r, p: r | {"key": "nobody", "partition": p}, "the key is not a UUID"),
    ],
    ids=["wrong partition", "random bytes", "nothing but random bytes", "no UUID for a key"],
)
def test_no_event_of_the_topic(
    api: httpx.Client, broker: str, platform: Platform, spoil: Any, reason: str
) -> None:
    user = create(api, "ada").json()
    at_home = partition_of(broker, user["id"])
    place = publish_plainly(broker, spoil(_update(user["id"], name="Wrong"), at_home))
    publish_plainly(broker, _update(user["id"], name="Right"))
    eventually(lambda: _shown(api, user["id"])["name"] == "Right", within=_PROJECTED)
    assert _shown(api, user["id"])["version"] == 2
    assert eventually(lambda: _undecodable(platform, place), within=_PROJECTED) == [(reason,)]


def test_an_update_of_an_unknown_user(api: httpx.Client, broker: str, platform: Platform) -> None:
    id_ = str(uuid.uuid4())
    place = publish_plainly(broker, _update(id_, name="Nobody"))
    publish_plainly(broker, _creation(id_, new_email("plain")))
    assert eventually(lambda: _shown(api, id_), within=_PROJECTED)["version"] == 1
    history = rows(
        platform, "SELECT version, rejected FROM history WHERE key = %s ORDER BY recorded_at", id_
    )
    assert history == [(None, "no such user"), (1, None)]
    assert _undecodable(platform, place) == []


def test_the_later_holder_of_an_email_shows_a_conflict(api: httpx.Client, broker: str) -> None:
    earlier = create(api, "ada").json()
    id_ = str(uuid.uuid4())
    publish_plainly(broker, _creation(id_, earlier["email"].upper()))
    later = eventually(lambda: _shown(api, id_), within=_PROJECTED)
    assert later["conflict"] is True
    assert _shown(api, earlier["id"])["conflict"] is False
    gone = api.delete(f"/v1/users/{earlier['id']}")
    answer = api.get(f"/v1/users/{id_}", headers=seen(gone))
    assert answer.json()["conflict"] is False


def _shown(api: httpx.Client, id_: str) -> dict[str, Any]:
    answer = api.get(f"/v1/users/{id_}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def _undecodable(platform: Platform, place: tuple[int, int]) -> list[tuple[Any, ...]]:
    statement = (
        'SELECT rejected FROM history WHERE key IS NULL AND partition = %s AND "offset" = %s'
    )
    return rows(platform, statement, *place)


def _creation(id_: str, email: str) -> dict[str, Any]:
    person = pb.Person(email=email, name="Plain")
    return record_of(id_, pb.UserCreatedEvent(user_id=id_, person=person))


def _update(id_: str, name: str) -> dict[str, Any]:
    return record_of(id_, pb.UserUpdatedEvent(user_id=id_, person=pb.Person(name=name)))
