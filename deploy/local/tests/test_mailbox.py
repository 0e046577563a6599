"""The mailbox as a real process: mail in by smtplib, out by Mailpit's API."""

import os
import signal
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from rollcall_local.mailbox.store import Store
from rollcall_local.ports import HOST, free_port, is_listening
from rollcall_local.process import Command, python, started
from rollcall_local.waiting import until_ready


@contextmanager
def mailbox(directory: Path, smtp: int, http: int) -> Iterator[tuple[httpx.Client, int]]:
    log = directory / "mailbox.log"
    argv = python("rollcall_local.mailbox", str(directory / "mail.db"), str(smtp), str(http))
    with started(Command(argv), log) as process:
        until_ready("mailbox", process, lambda _: is_listening(http) and is_listening(smtp), log)
        with httpx.Client(base_url=f"http://{HOST}:{http}", timeout=5) as client:
            yield client, process.pid


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


def welcome(to: str = "Ada Lovelace <ada@example.com>") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Rollcall <no-reply@example.com>"
    message["To"] = to
    message["Subject"] = "Welcome, Ädå"
    message["Message-ID"] = "<event-1@example.com>"
    message.set_content("Hello Ada,\nwelcome.")
    message.add_alternative("<p>Hello <b>Ada</b></p>", subtype="html")
    return message


def test_what_is_sent_by_smtp_is_listed_as_mailpit_lists_it(
    tmp_path: Path, ports: tuple[int, int]
) -> None:
    with mailbox(tmp_path, *ports) as (client, _):
        with smtplib.SMTP(HOST, ports[0], timeout=5) as connection:
            connection.send_message(welcome(), to_addrs=["ada@example.com", "audit@example.com"])
        page = client.get("/api/v1/messages").json()
        assert (page["total"], page["unread"], page["count"], page["start"]) == (1, 1, 1, 0)
        (listed,) = page["messages"]
        assert listed["From"] == {"Name": "Rollcall", "Address": "no-reply@example.com"}
        assert listed["To"] == [{"Name": "Ada Lovelace", "Address": "ada@example.com"}]
        assert listed["Bcc"] == [{"Name": "", "Address": "audit@example.com"}]
        assert listed["Subject"] == "Welcome, Ädå"
        assert listed["MessageID"] == "event-1@example.com"
        assert listed["Snippet"] == "Hello Ada, welcome."
        assert listed["Attachments"] == 0
        mail = client.get(f"/api/v1/message/{listed['ID']}").json()
        assert mail["Text"].strip().splitlines() == ["Hello Ada,", "welcome."]
        assert "<b>Ada</b>" in mail["HTML"]
        assert client.get("/api/v1/messages").json()["unread"] == 0


def test_messages_survive_a_kill(tmp_path: Path, ports: tuple[int, int]) -> None:
    with (
        mailbox(tmp_path, *ports) as (_, pid),
        smtplib.SMTP(HOST, ports[0], timeout=5) as connection,
    ):
        connection.send_message(welcome())
        os.kill(pid, signal.SIGKILL)
    with mailbox(tmp_path, *ports) as (client, _):
        assert client.get("/api/v1/messages").json()["total"] == 1


def test_search_paging_and_deletion(tmp_path: Path, ports: tuple[int, int]) -> None:
    with mailbox(tmp_path, *ports) as (client, _):
        with smtplib.SMTP(HOST, ports[0], timeout=5) as connection:
            for number in range(3):
                connection.send_message(welcome(f"user{number}@example.com"))
        found = client.get("/api/v1/search", params={"query": "to:user1@example.com"}).json()
        assert [m["To"][0]["Address"] for m in found["messages"]] == ["user1@example.com"]
        assert found["messages_count"] == 1
        second = client.get("/api/v1/messages", params={"start": 1, "limit": 1}).json()
        assert [m["To"][0]["Address"] for m in second["messages"]] == ["user1@example.com"]
        assert client.delete("/api/v1/messages").status_code == 200
        assert client.get("/api/v1/messages").json()["total"] == 0
        assert client.get("/api/v1/message/unknown").status_code == 404


def test_the_page_confines_what_a_message_brings(tmp_path: Path, ports: tuple[int, int]) -> None:
    with mailbox(tmp_path, *ports) as (client, _):
        page = client.get("/")
        assert 'setAttribute("sandbox", "")' in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "mail.db", kept=3)
    for number in range(5):
        store.add(bytes(welcome(f"user{number}@example.com")), "a@example.com", [])
    total, newest = store.page(0, 10)
    assert total == 3
    assert newest[0]["To"][0]["Address"] == "user4@example.com"
    store.close()


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe", b"Subject: =?x?q?=\r\nDate: never\r\nTo: <\r\n\r\n\x00"]
)
def test_any_bytes_are_kept(tmp_path: Path, raw: bytes) -> None:
    store = Store(tmp_path / "mail.db")
    identity = store.add(raw, "a@example.com", ["b@example.com"])
    opened = store.open(identity)
    assert opened is not None
    assert opened[1] == raw
    store.close()
