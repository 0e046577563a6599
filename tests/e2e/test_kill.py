"""kill -9 of each process in turn, during a loop of POSTs.

ROUNDS repeats it all; the replica of user-management that dies is another in each round.
"""

import os
from collections.abc import Iterable

import httpx
import pytest
from e2e.local_platform import Platform
from e2e.messages import slack_messages, welcomes
from e2e.people import create, second_admin
from e2e.posting import Answer, Posting
from e2e.stores import missing_users
from e2e.waiting import eventually

ROUNDS = range(int(os.environ.get("ROUNDS") or "1"))
# Seconds from a death until everything acknowledged is in the read store.
SERVICE, STORE = 20.0, 40.0
IN_FLIGHT = 32  # mails that a sender has on their way at most: its workers
MAILED = 120.0  # seconds from then until the last mail; a dead sender's lease is 30


@pytest.mark.parametrize("round_", ROUNDS)
def test_user_management(platform: Platform, token: str, round_: int) -> None:
    answers = _survives(platform, token, f"user-management-{round_ % 3 + 1}", SERVICE)
    _require_welcomes(platform, answers, may_repeat=False)


@pytest.mark.parametrize("round_", ROUNDS)
def test_email_notification(platform: Platform, token: str, round_: int) -> None:
    answers = _survives(platform, token, "email-notification-1", SERVICE)
    _require_welcomes(platform, answers, may_repeat=True)


@pytest.mark.parametrize("round_", ROUNDS)
def test_slack_notification(platform: Platform, token: str, api: httpx.Client, round_: int) -> None:
    with second_admin(api, platform) as other:
        killed = platform.kill("slack-notification-1")
        user = create(api, "ada", name=f"Ada {round_} {killed.pid}").json()
        eventually(
            lambda: any(user["name"] in text for text in slack_messages(platform, other["email"])),
            within=killed.left(SERVICE + MAILED),
        )
    _survives(platform, token, "slack-notification-1", SERVICE)


@pytest.mark.parametrize("round_", ROUNDS)
def test_gateway(platform: Platform, token: str, round_: int) -> None:
    answers = _survives(platform, token, "gateway-1", SERVICE, connections_break=True)
    _require_welcomes(platform, answers, may_repeat=False)


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("round_", ROUNDS)
def test_kafka(platform: Platform, token: str, round_: int) -> None:
    answers = _survives(platform, token, "kafka", STORE)
    _require_welcomes(platform, answers, may_repeat=False)


@pytest.mark.parametrize("round_", ROUNDS)
def test_postgres(platform: Platform, token: str, round_: int) -> None:
    answers = _survives(platform, token, "postgres", STORE)
    _require_welcomes(platform, answers, may_repeat=True)


def _survives(
    platform: Platform, token: str, name: str, within: float, *, connections_break: bool = False
) -> list[Answer]:
    """Kill it during a loop of POSTs; the 201s, which are all in the read store in time."""
    with Posting(platform.url, token) as posting:
        eventually(lambda: posting.has_created(20), within=10)
        killed = platform.kill(name)
        eventually(lambda: platform.revived(killed), within=killed.left(within))
        eventually(lambda: posting.has_created(20, since=killed.at), within=killed.left(within))
        created = posting.created()
        eventually(lambda: _all_stored(platform, created), within=killed.left(within))
    eventually(lambda: _all_stored(platform, posting.created()), within=5)
    broken = [answer for answer in posting.others() if answer.status is None]
    assert connections_break or not broken
    assert [a for a in posting.others() if a not in broken and not a.is_plain_unavailability] == []
    return posting.created()


def _all_stored(platform: Platform, answers: Iterable[Answer]) -> bool:
    return not missing_users(platform, [answer.id for answer in answers])


def _require_welcomes(platform: Platform, answers: Iterable[Answer], *, may_repeat: bool) -> None:
    """Every user was welcomed, and once unless a copy may have been in flight at the death."""
    addresses = {answer.email for answer in answers}

    def all_welcomed() -> None:
        assert not addresses - welcomes(platform).keys()

    eventually(all_welcomed, within=MAILED)
    sent = [ids for address, ids in welcomes(platform).items() if address in addresses]
    assert all(len(set(ids)) == 1 for ids in sent)  # copies of a mail have its Message-ID
    repeated = [ids for ids in sent if len(ids) > 1]
    assert len(repeated) <= (IN_FLIGHT if may_repeat else 0)
