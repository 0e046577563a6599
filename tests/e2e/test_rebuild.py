"""The read store is folded anew under load, from the command line; a replica dies on the way."""

import json
import time

from e2e.local_platform import Platform
from e2e.messages import welcomes
from e2e.posting import Posting
from e2e.stores import missing_users
from e2e.waiting import eventually

_MOVED = 40.0  # seconds from a death until everything acknowledged is in the read store


def test_a_rebuild_is_not_noticed(platform: Platform, token: str) -> None:
    with Posting(platform.url, token) as posting:
        _rebuild(platform, posting)
    ids = [answer.id for answer in posting.created()]
    eventually(lambda: not missing_users(platform, ids), within=_MOVED)
    eventually(lambda: len(_welcomed(platform, posting)) == len(ids), within=60)
    assert {len(welcomes) for welcomes in _welcomed(platform, posting).values()} == {1}


def _rebuild(platform: Platform, posting: Posting) -> None:
    """Fill, switch, go back and forth, drop; while a replica dies."""
    _goes_on(posting)
    before = _generations(platform)
    live = next(number for number, state in before.items() if state == "live")
    filled = json.loads(platform.run("rebuild", "--no-switch", "--json"))
    number = filled["number"]
    assert (number, filled["state"]) == (max(before) + 1, "filling")
    assert f"generation {number} of the read store is being filled" in platform.run("status")
    killed = platform.kill("user-management-2")
    eventually(lambda: platform.revived(killed), within=_MOVED)
    well = time.monotonic()

    assert json.loads(platform.run("rebuild", "--full-speed", "--json"))["state"] == "live"
    _goes_on(posting)
    for other in (live, number):
        platform.run("rebuild", "use", str(other))
        _goes_on(posting)
    assert _generations(platform) == {**before, live: "standby", number: "live"}
    refused = platform.ask("rebuild", "drop", str(number))
    assert (refused.code, "is live" in refused.err) == (1, True)
    platform.run("rebuild", "drop", str(live))
    assert live not in _generations(platform)
    _goes_on(posting)

    others = posting.others()
    assert [answer for answer in others if not killed.at - 10 < answer.sent < well] == []
    assert [answer for answer in others if not answer.is_plain_unavailability] == []


def _goes_on(posting: Posting) -> None:
    created = len(posting.created())
    eventually(lambda: posting.has_created(created + 5), within=30)


def _generations(platform: Platform) -> dict[int, str]:
    return {g["number"]: g["state"] for g in json.loads(platform.run("rebuild", "list", "--json"))}


def _welcomed(platform: Platform, posting: Posting) -> dict[str, list[str]]:
    emails = {answer.email for answer in posting.created()}
    return {email: ids for email, ids in welcomes(platform).items() if email in emails}
