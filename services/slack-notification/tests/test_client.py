"""The real slack-sdk against an HTTP server that answers as Slack does."""

import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rollcall_service.ledger import Delivery
from rollcall_service.sender import Permanent, Transient
from rollcall_slack_notification.client import Poster, make_client
from rollcall_slack_notification.messages import make_send
from rollcall_slack_notification.settings import Slack

Answer = tuple[int, dict[str, str], bytes]
JSON = {"Content-Type": "application/json"}


def refused(code: str, status: int = 200, **headers: str) -> Callable[[Any], Answer]:
    body = f'{{"ok": false, "error": "{code}"}}'.encode()
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: (status, JSON | more, body)


@pytest.fixture
def poster(slack: Any) -> Poster:
    return Poster(make_client(Slack("xoxb-test", slack.url)))


def post(poster: Poster, recipient: str = "bob@example.com") -> None:
    poster.post(recipient, "hello", [{"type": "section"}], {"event_type": "t", "event_payload": {}})


def test_an_admin_is_found_by_address_once(slack: Any, poster: Poster) -> None:
    post(poster)
    post(poster)
    lookups = ["users.lookupByEmail", "conversations.open"]
    assert slack.methods() == [*lookups, "chat.postMessage", "chat.postMessage"]
    assert slack.posted()[0]["channel"] == "D-U-bob@example.com"
    assert slack.posted()[0]["text"] == "hello"
    assert slack.posted()[0]["metadata"] == {"event_type": "t", "event_payload": {}}
    assert {token for _, _, token in slack.calls} == {"Bearer xoxb-test"}


def test_a_channel_is_posted_to_as_it_is(slack: Any, poster: Poster) -> None:
    post(poster, "#people")
    assert slack.methods() == ["chat.postMessage"]
    assert slack.posted()[0]["channel"] == "#people"


@pytest.mark.parametrize(
    "method", ["users.lookupByEmail", "conversations.open", "chat.postMessage"]
)
def test_a_rate_limit_says_when_to_come_back(slack: Any, poster: Poster, method: str) -> None:
    slack.answers[method] = refused("ratelimited", 429, Retry_After="30")
    with pytest.raises(Transient, match="ratelimited") as limited:
        post(poster)
    assert limited.value.retry_after == 30.0
    assert slack.methods().count(method) == 1  # retries are the ledger's


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("users.lookupByEmail", "users_not_found"),
        ("conversations.open", "user_disabled"),
        ("chat.postMessage", "channel_not_found"),
        ("chat.postMessage", "msg_too_long"),
    ],
)
def test_what_concerns_the_recipient_is_final(
    slack: Any, poster: Poster, method: str, code: str
) -> None:
    slack.answers[method] = refused(code)
    with pytest.raises(Permanent, match=f"^{code}$"):
        post(poster)


@pytest.mark.parametrize(
    "method", ["users.lookupByEmail", "conversations.open", "chat.postMessage"]
)
@pytest.mark.parametrize(
    "code",
    [
        *("internal_error", "invalid_auth", "missing_scope", "account_inactive", "accesslimited"),
        *("org_login_required", "message_limit_exceeded", "team_access_not_granted"),
        *("not_allowed_token_type", "not_in_channel"),
    ],
)
def test_what_somebody_can_mend_is_not(slack: Any, poster: Poster, method: str, code: str) -> None:
    slack.answers[method] = refused(code)
    with pytest.raises(Transient, match=f"^{code}$"):
        post(poster)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"<html>bob@example.com", "HTTP 500"),
        (503, b"", "HTTP 503"),
        (502, b'{"ok": false, "error": "bob@example.com is gone"}', "HTTP 502"),
        (403, b"forbidden by a proxy", "HTTP 403"),
        (200, b"<html>a captive portal", "HTTP 200"),
        (429, b"slow down", "HTTP 429"),
    ],
)
def test_what_is_not_slack_speaking_is_store_trouble_and_not_quoted(
    slack: Any, poster: Poster, status: int, body: bytes, reason: str
) -> None:
    slack.answers["chat.postMessage"] = lambda _: (status, {"Content-Type": "text/html"}, body)
    with pytest.raises(Transient, match=f"^{reason}$"):
        post(poster)


def test_nobody_listening_is_store_trouble() -> None:
    poster = Poster(make_client(Slack("xoxb-test", "http://127.0.0.1:1/api/")))
    with pytest.raises(Transient, match="URLError"):
        post(poster)


def test_a_server_that_hangs_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/"
        poster = Poster(make_client(Slack("xoxb-test", url), timeout=1))
        with pytest.raises(Transient, match=r"TimeoutError|URLError"):
            post(poster)


def test_a_connection_that_is_cut_is_store_trouble() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def cut() -> None:
            connection, _ = listener.accept()
            connection.recv(10)
            connection.close()

        thread = threading.Thread(target=cut, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/"
        with pytest.raises(Transient):
            post(Poster(make_client(Slack("xoxb-test", url))))
        thread.join(5)


def test_a_refusal_forgets_the_conversation(slack: Any, poster: Poster) -> None:
    post(poster)
    slack.answers["chat.postMessage"] = refused("channel_not_found")
    with pytest.raises(Permanent):
        post(poster)
    del slack.answers["chat.postMessage"]
    post(poster)
    assert slack.methods().count("users.lookupByEmail") == 2


def test_the_sdk_logs_nothing_personal(
    slack: Any, poster: Poster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    slack.answers["chat.postMessage"] = lambda _: (200, {}, b"bob@example.com")
    with pytest.raises(Transient):
        post(poster)
    assert caplog.text == ""


def test_what_cannot_be_rendered_fails_for_good(poster: Poster) -> None:
    delivery = Delivery(1, "key", "id", "user_created", "bob@example.com", {}, 1, 0.0)
    with pytest.raises(Permanent, match="cannot be rendered: KeyError"):
        make_send(poster)(delivery)
