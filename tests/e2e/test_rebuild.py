"""The read store is folded anew under load, from the command line; a replica dies on the way."""

import json
import time

from e2e.local_platform import Platform
from e2e.messages import welcomes
from e2e.posting import Posting
from e2e.stores import missing_users
from e2e.waiting import eventually

_MAILED = 120.0  # seconds until the last mail
_MOVED = 40.0  # seconds from a death until everything acknowledged is in the read store


def test_who_fills_may_die(platform: Platform, token: str) -> None:
    with Posting(platform.url, token) as posting:
        _goes_on(posting)
        before = _generations(platform)
        filled = json.loads(platform.run("rebuild", "--no-switch", "--json"))
        assert (filled["number"], filled["state"]) == (max(before) + 1, "filling")
        killed = platform.kill("user-management-2")
        eventually(lambda: platform.revived(killed), within=_MOVED)
        well = time.monotonic()
        _goes_on(posting)
    others = posting.others()
    assert [answer for answer in others if not killed.at - 10 < answer.sent < well] == []
    assert [answer for answer in others if not answer.is_plain_unavailability] == []
    _all_there(platform, posting)


def test_the_switch_is_not_noticed(platform: Platform, token: str) -> None:
    before = _generations(platform)
    live = next(number for number, state in before.items() if state == "live")
    with Posting(platform.url, token) as posting:
        made = json.loads(platform.run("rebuild", "--full-speed", "--json"))
        assert made["state"] == "live"
        _goes_on(posting)
        platform.run("rebuild", "use", str(live))
        _goes_on(posting)
        refused = platform.ask("rebuild", "drop", str(live))
        assert (refused.code, "is live" in refused.err) == (1, True)
        platform.run("rebuild", "drop", str(made["number"]))
        _goes_on(posting)
    assert posting.others() == []
    assert _generations(platform) == {live: "live"}
    _all_there(platform, posting)


def _all_there(platform: Platform, posting: Posting) -> None:
    """Everybody is in the read store, and was welcomed once."""
    created = posting.created()
    eventually(lambda: not missing_users(platform, [a.id for a in created]), within=_MOVED)
    emails = {answer.email for answer in created}
    eventually(lambda: emails <= welcomes(platform).keys(), within=_MAILED)
    sent = [ids for email, ids in welcomes(platform).items() if email in emails]
    assert {len(ids) for ids in sent} == {1}


def _goes_on(posting: Posting) -> None:
    created = len(posting.created())
    eventually(lambda: posting.has_created(created + 5), within=30)


def _generations(platform: Platform) -> dict[int, str]:
    return {g["number"]: g["state"] for g in json.loads(platform.run("rebuild", "list", "--json"))}
