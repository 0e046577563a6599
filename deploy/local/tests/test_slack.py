"""The Slack stand-in as a real process, driven by the real slack-sdk."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from rollcall_local.ports import HOST, free_port, is_listening
from rollcall_local.process import Command, python, started
from rollcall_local.waiting import until_ready

BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "*New user*"}}]


@contextmanager
def stand_in(directory: Path, port: int) -> Iterator[int]:
    log = directory / "slack.log"
    argv = python("rollcall_local.slack", str(directory / "slack.db"), str(port))
    with started(Command(argv), log) as process:
        until_ready("slack", process, lambda _: is_listening(port), log)
        yield process.pid


def client(port: int, token: str | None = "xoxb-any") -> WebClient:
    return WebClient(token=token, base_url=f"http://{HOST}:{port}/api/", timeout=5)


def error_of(failure: pytest.ExceptionInfo[SlackApiError]) -> object:
    return failure.value.response["error"]


def test_a_direct_message_reaches_the_person_found_by_email(tmp_path: Path) -> None:
    port = free_port()
    with stand_in(tmp_path, port) as pid:
        slack = client(port)
        assert slack.auth_test()["team"] == "Rollcall"
        user = slack.users_lookupByEmail(email="Ada@example.com")["user"]["id"]
        assert user == slack.users_lookupByEmail(email="ada@example.com")["user"]["id"]
        conversation = slack.conversations_open(users=user)["channel"]["id"]
        posted = slack.chat_postMessage(channel=conversation, text="New user", blocks=BLOCKS)
        assert posted["channel"] == conversation
        slack.chat_postMessage(channel="#admins", text="to a channel")
        os.kill(pid, signal.SIGKILL)
    with stand_in(tmp_path, port):
        direct, public = httpx.get(f"http://{HOST}:{port}/messages", timeout=5).json()
    assert direct["ts"] == posted["ts"]
    assert (direct["user"], direct["email"]) == (user, "ada@example.com")
    assert (direct["text"], direct["blocks"]) == ("New user", BLOCKS)
    assert (public["channel"], public["user"], public["email"]) == ("#admins", None, None)


def test_errors_are_slacks(tmp_path: Path) -> None:
    port = free_port()
    with stand_in(tmp_path, port):
        slack = client(port)
        with pytest.raises(SlackApiError) as failure:
            slack.users_lookupByEmail(email="ada@noslack.example.com")
        assert error_of(failure) == "users_not_found"
        with pytest.raises(SlackApiError) as failure:
            slack.chat_postMessage(channel="D0UNKNOWN", text="nobody")
        assert error_of(failure) == "channel_not_found"
        with pytest.raises(SlackApiError) as failure:
            client(port, token=None).chat_postMessage(channel="#admins", text="no token")
        assert error_of(failure) == "not_authed"
        with pytest.raises(SlackApiError) as failure:
            slack.api_call("chat.unknown")
        assert error_of(failure) == "unknown_method"
        assert httpx.get(f"http://{HOST}:{port}/messages", timeout=5).json() == []
