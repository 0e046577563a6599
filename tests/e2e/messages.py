"""What the people got: mail as Mailpit's API shows it, and Slack messages."""

from typing import Any, Protocol

import httpx

_PAGE = 1_000
_TIMEOUT = 10.0
WELCOME = "Welcome to Rollcall"


class Inboxes(Protocol):
    """A platform, by the addresses of its mailbox and its Slack stand-in."""

    mailbox: str
    slack: str


def mails_to(platform: Inboxes, address: str) -> list[dict[str, Any]]:
    """The mails to one address, the newest first."""
    found = _get(f"{platform.mailbox}/api/v1/search", query=f"to:{address}", limit=_PAGE)
    return [mail for mail in found["messages"] if _recipient(mail) == address]


def text_of(platform: Inboxes, mail: dict[str, Any]) -> str:
    return str(_get(f"{platform.mailbox}/api/v1/message/{mail['ID']}")["Text"])


def welcomes(platform: Inboxes) -> dict[str, list[str]]:
    """The Message-IDs of the welcome mails that each address got."""
    ids: dict[str, list[str]] = {}
    for mail in _all(platform):
        if mail["Subject"] == WELCOME:
            ids.setdefault(_recipient(mail), []).append(mail["MessageID"])
    return ids


def slack_messages(platform: Inboxes, person: str) -> list[str]:
    """The texts of the Slack messages to the person with this address, the newest last."""
    found: list[dict[str, Any]] = _get(f"{platform.slack}/messages")
    return [message["text"] for message in found if message["email"] == person]


def _all(platform: Inboxes) -> list[dict[str, Any]]:
    """Each once, though mails that arrive meanwhile push others from one page on to the next."""
    mails: dict[str, dict[str, Any]] = {}
    start = 0
    while True:
        page = _get(f"{platform.mailbox}/api/v1/messages", limit=_PAGE, start=start)["messages"]
        mails |= {mail["ID"]: mail for mail in page}
        start += len(page)
        if len(page) < _PAGE:
            return list(mails.values())


def _recipient(mail: dict[str, Any]) -> str:
    return str(mail["To"][0]["Address"])


def _get(url: str, **parameters: Any) -> Any:
    answer = httpx.get(url, params=parameters, timeout=_TIMEOUT)
    return answer.raise_for_status().json()
