"""The read store is folded anew under load, from the command line; a replica dies on the way."""

import json
import time

from e2e.local_platform import Platform
from e2e.posted import all_there, goes_on
from e2e.posting import Posting
from e2e.waiting import eventually

_MOVED = 40.0  # seconds from a death until everything acknowledged is in the read store


def test_who_fills_may_die(platform: Platform, token: str) -> None:
    with Posting(platform.url, token) as posting:
        goes_on(posting)
        before = _generations(platform)
        filled = json.loads(platform.run("rebuild", "--no-switch", "--json"))
        assert (filled["number"], filled["state"]) == (max(before) + 1, "filling")
        killed = platform.kill("user-management-2")
        eventually(lambda: platform.revived(killed), within=_MOVED)
        well = time.monotonic()
        goes_on(posting)
    others = posting.others()
    assert [answer for answer in others if not killed.at - 10 < answer.sent < well] == []
    assert [answer for answer in others if not answer.is_plain_unavailability] == []
    all_there(platform, posting)


def test_the_switch_is_not_noticed(platform: Platform, token: str) -> None:
    before = _generations(platform)
    live = next(number for number, state in before.items() if state == "live")
    with Posting(platform.url, token) as posting:
        made = json.loads(platform.run("rebuild", "--full-speed", "--json"))
        assert made["state"] == "live"
        goes_on(posting)
        platform.run("rebuild", "use", str(live))
        goes_on(posting)
        refused = platform.ask("rebuild", "drop", str(live))
        assert (refused.code, "is live" in refused.err) == (1, True)
        platform.run("rebuild", "drop", str(made["number"]))
        goes_on(posting)
    assert posting.others() == []
    assert _generations(platform) == {live: "live"}
    all_there(platform, posting)


def _generations(platform: Platform) -> dict[int, str]:
    return {g["number"]: g["state"] for g in json.loads(platform.run("rebuild", "list", "--json"))}
