"""What the people got: mail as Mailpit's API shows it, and Slack messages."""

from collections import Counter
from typing import Any

import httpx
from e2e.local_platform import Platform

_PAGE = 1_000
_TIMEOUT = 10.0
WELCOME = "Welcome to Rollcall"


def mails_to(platform: Platform, address: str) -> list[dict[str, Any]]:
    """The mails to one address, the newest first."""
    found = _get(f"{platform.mailbox}/api/v1/search", query=f"to:{address}", limit=_PAGE)
    return [mail for mail in found["messages"] if _recipient(mail) == address]


def text_of(platform: Platform, mail: dict[str, Any]) -> str:
    return str(_get(f"{platform.mailbox}/api/v1/message/{mail['ID']}")["Text"])


def welcomes(platform: Platform) -> Counter[str]:
    """How many copies of the welcome mail each address got.

    Copies of a mail have its Message-ID; two mails for one user are a fault.
    """
    ids: dict[str, set[str]] = {}
    copies: Counter[str] = Counter()
    for mail in _all(platform):
        if mail["Subject"] == WELCOME:
            copies[_recipient(mail)] += 1
            ids.setdefault(_recipient(mail), set()).add(mail["MessageID"])
    assert not [address for address, known in ids.items() if len(known) > 1]
    return copies


def slack_messages(platform: Platform, person: str) -> list[str]:
    """The texts of the Slack messages to the person with this address, the newest last."""
    found: list[dict[str, Any]] = _get(f"{platform.slack}/messages")
    return [message["text"] for message in found if message["email"] == person]


def _all(platform: Platform) -> list[dict[str, Any]]:
    mails: list[dict[str, Any]] = []
    while True:
        start = len(mails)
        page = _get(f"{platform.mailbox}/api/v1/messages", limit=_PAGE, start=start)
        mails += page["messages"]
        if len(page["messages"]) < _PAGE:
            return mails


def _recipient(mail: dict[str, Any]) -> str:
    return str(mail["To"][0]["Address"])


def _get(url: str, **parameters: Any) -> Any:
    answer = httpx.get(url, params=parameters, timeout=_TIMEOUT)
    return answer.raise_for_status().json()
