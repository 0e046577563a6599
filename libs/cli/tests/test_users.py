"""`rollcall users` against an API of the test's own."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from rollcall_cli.__main__ import main
from rollcall_cli.exits import FAILED, OK, UNREACHABLE, USAGE

ID = "01900000-0000-7000-8000-00000000ffff"
USER = {
    "id": ID,
    "email": "ada@example.com",
    "name": "Ada \x1b[2J",
    "status": "active",
    "roles": [{"id": "r", "name": "editor"}],
    "version": 2,
    "created_at": "2026-01-31T09:30:00.125Z",
}


def told(type_: str, version: int | None, **changed: Any) -> dict[str, Any]:
    event: dict[str, Any] = {
        "id": ID,
        "type": f"rollcall.users.v1.{type_}",
        "version": version,
        "recorded_at": "2026-01-31T09:30:00.125Z",
        "actor": {"id": "users/1", "name": "Grace"},
        "rejected": None,
        "changes": [],
    }
    return event | changed


EVENTS = [
    told(
        "UserCreatedEvent",
        1,
        changes=[
            {"field": "email", "old": None, "new": "a@x"},
            {"field": "name", "old": None, "new": "Ada"},
        ],
    ),
    told(
        "RoleAssignedToUserEvent",
        2,
        actor=None,
        changes=[{"field": "roles", "old": None, "new": {"id": "r", "name": "editor"}}],
    ),
    told("UserUpdatedEvent", None, rejected="the user was deleted"),
]


class Api:
    """What it is asked, and what it answers: two pages of each list."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.answer: tuple[int, Any] | None = None
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, document = api.respond(self.path, self.headers["Authorization"])
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def respond(self, target: str, authorization: str) -> tuple[int, Any]:
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        self.asked.append((url.path, query, authorization))
        if self.answer is not None:
            return self.answer
        if url.path == f"/v1/users/{ID}":
            return 200, USER
        name, all_ = ("users", [USER] * 3) if url.path == "/v1/users" else ("events", EVENTS)
        first = "page_token" not in query
        page = (all_[:2] if first else all_[2:])[: int(query["page_size"])]
        return 200, {name: page, "next_page_token": "more" if first else None}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    found = Api()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("ROLLCALL_URL", found.url)
    monkeypatch.setenv("ROLLCALL_TOKEN", "a-token")
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["users", *arguments]) == OK
    return capsys.readouterr().out


def test_a_user_is_asked_for_as_it_is_and_was(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(printed(capsys, "get", ID, "--json")) == USER
    shown = printed(capsys, "get", ID.upper(), "--at", "2026-01-31T10:00:00+01:00")
    assert "ada@example.com" in shown
    assert "\x1b" not in shown
    printed(capsys, "get", ID, "--version", "2")
    assert api.asked == [
        (f"/v1/users/{ID}", query, "Bearer a-token")
        for query in ({}, {"at": "2026-01-31T10:00:00+01:00"}, {"version": "2"})
    ]


def test_a_list_goes_on_until_there_are_enough(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    filters = ("--q", "a&b", "--email", "a@x", "--role", "editor", "--status", "active")
    shown = printed(capsys, "list", *filters, "--at", "2026-01-31T10:00:00Z")
    assert shown.count("ada@example.com") == 3
    asked = {"q": "a&b", "email": "a@x", "role": "editor", "status": "active"}
    asked |= {"at": "2026-01-31T10:00:00+00:00", "page_size": "50"}
    assert [query for _, query, _ in api.asked] == [
        asked,
        asked | {"page_size": "48", "page_token": "more"},
    ]
    assert len(json.loads(printed(capsys, "list", "-n", "1", "--json"))) == 1
    assert len(api.asked) == 3


def test_a_history_tells_what_became_what(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.rstrip() for line in printed(capsys, "history", ID).splitlines()]
    assert lines == [
        "recorded             version  actor  event",
        '2026-01-31 09:30:00  1        Grace  UserCreated         email: null → "a@x"',
        '                                                         name: null → "Ada"',
        "2026-01-31 09:30:00  2               RoleAssignedToUser  roles: null → editor",
        "2026-01-31 09:30:00           Grace  UserUpdated         rejected: the user was deleted",
    ]
    assert json.loads(printed(capsys, "history", ID, "--json")) == EVENTS


def test_a_rejection_is_red(
    api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    lines = printed(capsys, "history", ID).splitlines()
    assert ["\x1b[31m" in line for line in lines] == [False] * 4 + [True]


GONE = {"detail": "There is no such user.", "deleted_at": "2026-01-31T10:00:00Z"}
FUTURE = {"detail": "", "errors": [{"field": "at", "message": "must not be in the future"}]}


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        ((404, GONE), FAILED, "There is no such user. It was deleted at 2026-01-31T10:00:00Z."),
        ((422, FUTURE), FAILED, "at must not be in the future"),
        ((503, {"detail": "Kafka is away."}), UNREACHABLE, "Kafka is away."),
    ],
)
def test_a_refusal_is_one_line(
    api: Api,
    capsys: pytest.CaptureFixture[str],
    answer: tuple[int, Any],
    code: int,
    text: str,
) -> None:
    api.answer = answer
    for arguments in (["get", ID], ["list"], ["history", ID, "--json"]):
        assert main(["users", *arguments]) == code
        said = capsys.readouterr()
        assert (said.out, said.err) == ("", f"rollcall: {text}\n")


def test_without_a_gateway_or_a_token_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROLLCALL_URL", "http://127.0.0.1:1")
    monkeypatch.delenv("ROLLCALL_TOKEN", raising=False)
    assert main(["users", "list"]) == FAILED
    assert "ROLLCALL_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("ROLLCALL_TOKEN", "a-token")
    assert main(["users", "list"]) == UNREACHABLE
    assert "no gateway answers at http://127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["get"],
        ["get", "ada"],
        ["get", ID, "--version", "0"],
        ["get", ID, "--at", "yesterday"],
        ["get", ID, "--at", "2h", "--version", "1"],
        ["list", "--status", "gone"],
        ["list", "-n", "0"],
    ],
)
def test_what_cannot_be_asked_is_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["users", *arguments])
    assert ending.value.code == USAGE
