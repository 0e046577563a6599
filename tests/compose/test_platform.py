"""docker-compose.yml as it is."""

from functools import partial

import httpx
from compose import journeys
from compose.composed import Composed
from e2e.people import create, new_email, seen
from e2e.waiting import eventually

VARIANT = "plain"
_MOVED_WITHIN = 20.0  # seconds, after which the others hold a killed replica's partitions


def test_nobody_gets_in_without_a_token(platform: Composed) -> None:
    assert httpx.get(f"{platform.url}/v1/users", timeout=10).status_code == 401


def test_a_user_is_created_and_welcomed(api: httpx.Client, platform: Composed) -> None:
    journeys.a_user_is_created_and_welcomed(api, platform)


def test_the_other_admin_is_told(api: httpx.Client, platform: Composed) -> None:
    journeys.the_other_admin_is_told(api, platform)


def test_history_shows_who_changed_what(api: httpx.Client) -> None:
    journeys.history_shows_who_changed_what(api)


def test_the_read_store_is_the_fold_of_the_log(platform: Composed) -> None:
    journeys.the_read_store_is_the_fold_of_the_log(platform)


def test_the_replicas_divide_the_partitions(platform: Composed) -> None:
    eventually(lambda: journeys.the_replicas_divide_the_partitions(platform), within=30)


def test_a_killed_replica_is_not_missed(api: httpx.Client, platform: Composed) -> None:
    """Its users are served by the others, and it is one of three when it is back."""
    before = create(api, "ada")
    killed, *others = platform.well("user-management")
    assert len(others) == 2
    platform.signal(killed, "KILL")
    answers = [
        api.post("/v1/users", json={"email": new_email("ada"), "name": "Ada"}) for _ in "123456"
    ]
    answers += [api.get(before.headers["Location"], headers=seen(before))]
    assert [answer.status_code for answer in answers] == [201] * 6 + [200]
    for answer in answers[:6]:  # whichever partition they lie in
        eventually(partial(_is_read, api, answer), within=_MOVED_WITHIN)
    platform.compose("up", "--detach", "--no-build")
    eventually(lambda: len(platform.well("user-management")) == 3, within=60)
    journeys.the_read_store_is_the_fold_of_the_log(platform)


def test_a_stop_is_clean_and_the_data_stays(api: httpx.Client, platform: Composed) -> None:
    created = create(api, "ada")
    platform.compose("stop")
    for service in ("user-management", "gateway", "email-notification", "slack-notification"):
        assert {c["ExitCode"] for c in platform.containers(service)} == {0}
    platform.up()
    read = api.get(created.headers["Location"], headers=seen(created))
    assert read.json() == created.json()


def _is_read(api: httpx.Client, created: httpx.Response) -> bool:
    return api.get(created.headers["Location"], headers=seen(created)).status_code == 200
