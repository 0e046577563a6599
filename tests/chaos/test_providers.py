"""The test's mail server and Slack answer as they are told to, and know what they took in."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage

import httpx
import pytest
from chaos.accepted import Accepted, Answer
from chaos.providers import Providers

from rollcall_local.ports import HOST, free_port

_PATIENCE = 0.5  # seconds


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture
def providers(ports: tuple[int, int]) -> Iterator[Providers]:
    with Providers(*ports) as providers:
        yield providers


def _send(port: int, number: int) -> None:
    message = EmailMessage()
    message["Message-ID"] = f"<{number}@rollcall.example>"
    with smtplib.SMTP(HOST, port, timeout=_PATIENCE) as smtp:
        smtp.send_message(message, "a@example.com", ["b@example.com"])


def _post(port: int, number: int) -> httpx.Response:
    about = {"key": "ada", "event_id": f"id-{number}"}
    metadata = {"event_type": "rollcall_user_created", "event_payload": about}
    body = {"channel": "#audit", "text": "text", "metadata": metadata}
    return httpx.post(f"http://{HOST}:{port}/api/chat.postMessage", json=body)


def test_mail_is_taken_in(providers: Providers, ports: tuple[int, int]) -> None:
    _send(ports[0], 1)
    assert providers.mail.accepted == [Accepted("1@rollcall.example", told=True)]


@pytest.mark.parametrize(("answer", "code"), [(Answer.LATER, 451), (Answer.NEVER, 554)])
def test_mail_is_refused(
    providers: Providers, ports: tuple[int, int], answer: Answer, code: int
) -> None:
    providers.mail.answers = answer
    with pytest.raises(smtplib.SMTPDataError) as refused:
        _send(ports[0], 1)
    assert refused.value.smtp_code == code
    assert providers.mail.accepted == []
    assert providers.mail.refused == (["1@rollcall.example"] if answer is Answer.NEVER else [])


@pytest.mark.parametrize("answer", [Answer.HANGS, Answer.DISCONNECTS])
def test_nobody_hears_whether_mail_was_taken_in(
    providers: Providers, ports: tuple[int, int], answer: Answer
) -> None:
    providers.mail.answers = answer
    for number in range(8):
        with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
            _send(ports[0], number)
    assert 0 < len(providers.mail.accepted) < 8
    assert not any(accepted.told for accepted in providers.mail.accepted)


def test_slack(providers: Providers, ports: tuple[int, int]) -> None:
    assert _post(ports[1], 0).json()["ok"]
    providers.slack.answers = Answer.LATER
    later = _post(ports[1], 1)
    assert (later.status_code, later.headers["Retry-After"]) == (429, "1")
    providers.slack.answers = Answer.BROKEN
    assert {_post(ports[1], number).status_code for number in range(2, 10)} == {500}
    (first, *others) = providers.slack.accepted
    assert first == Accepted("ada/id-0/user_created/#audit", told=True)
    assert 0 < len(others) < 8
    assert not any(accepted.told for accepted in others)
