"""`rollcall status` and `scale` against a supervisor's socket and replicas' management ports."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rollcall_cli.__main__ import main
from rollcall_cli.exits import FAILED, OK
from rollcall_cli.scale import shared
from rollcall_cli.show_status import ranges
from rollcall_local.home import Home

NOTICE = "The log is in memory."
Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Platform:
    """What the command talks to: a supervisor that knows one service, and its replicas."""

    def __init__(self, home: Home):
        self.replicas = 2
        self.notice: str | None = None
        self.parked = {"sequences": 0, "records": 0}
        self.filling: dict[str, str] = {}
        self._management = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        home.create()
        self._supervisor = socketserver.ThreadingUnixStreamServer(str(home.socket), self._control())
        self._servers = (self._management, self._supervisor)
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,)) for server in self._servers
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["command"] == "scale":
            if request["count"] > 8:
                return {"error": "port 50059 is taken"}
            self.replicas = request["count"]
            return {"ok": True}
        port = self._management.server_address[1]
        replicas = [
            {
                "id": f"user-management-{n}",
                "pid": n,
                "state": "running",
                "management": f"http://127.0.0.1:{port}/{n}",
            }
            for n in range(1, self.replicas + 1)
        ]
        service = {"name": "user-management", "group": "user-management", "replicas": replicas}
        return {
            "state": "running",
            "broker": {"kind": "kafka", "bootstrap_servers": "127.0.0.1:9092"},
            "postgres": {"url": "postgresql://127.0.0.1:5432/rollcall"},
            "services": [service],
            "parts": [{"name": "kafka", "pid": 9, "state": "running", "address": "127.0.0.1:9092"}],
            "notice": self.notice,
        }

    def report(self, number: int) -> dict[str, Any]:
        held = [p for p in range(50) if p % self.replicas == number - 1]
        return {
            "id": f"user-management-{number}",
            "pid": number,
            "state": "running",
            "partitions": {"users": held},
            "lag_records": 0,
            "lag_seconds": 0.0,
            "parked": self.parked,
            "filling": self.filling,
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        report = self.report

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(report(int(self.path.split("/")[1]))).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler

    def _control(self) -> type[socketserver.StreamRequestHandler]:
        answer: Answer = self.answer

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                line = json.dumps(answer(json.loads(self.rfile.readline())))
                self.wfile.write(line.encode() + b"\n")

        return Handler


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setenv("ROLLCALL_HOME", str(tmp_path / "state"))
    made = Platform(Home(tmp_path / "state"))
    yield made
    made.close()


def test_status_as_json_is_exactly_what_the_design_says(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--json"]) == OK
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "broker": {"kind": "kafka", "bootstrap_servers": "127.0.0.1:9092"},
        "postgres": {"url": "postgresql://127.0.0.1:5432/rollcall"},
        "services": [
            {
                "name": "user-management",
                "group": "user-management",
                "replicas": [
                    {
                        "id": f"user-management-{n}",
                        "pid": n,
                        "state": "running",
                        "partitions": {"users": [p for p in range(50) if p % 2 == n - 1]},
                        "lag_records": 0,
                        "lag_seconds": 0.0,
                    }
                    for n in (1, 2)
                ],
            }
        ],
        "parts": [{"name": "kafka", "pid": 9, "state": "running", "address": "127.0.0.1:9092"}],
    }


def test_what_is_parked_is_told(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    platform.parked = {"sequences": 2, "records": 7}
    assert main(["status"]) == OK
    assert "user-management holds events of 2 users or roles: rollcall parked" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("running", "is being filled: rollcall rebuild list"),
        ("stopped: too much", "is not filled any more: stopped: too much"),
    ],
)
def test_what_is_filled_is_told_and_no_part_of_the_document(
    platform: Platform, capsys: pytest.CaptureFixture[str], state: str, told: str
) -> None:
    platform.filling = {"2": state}
    assert main(["status"]) == OK
    assert f"generation 2 of the read store {told}" in capsys.readouterr().out
    assert main(["status", "--json"]) == OK
    assert "filling" not in capsys.readouterr().out


def test_the_notice_is_the_last_line(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.notice = NOTICE
    assert main(["status"]) == OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == NOTICE
    assert any(line.startswith("user-management-1") and "25" in line for line in lines)


def test_scale_waits_for_even_shares(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scale", "user-management", "5", "--json"]) == OK
    replicas = json.loads(capsys.readouterr().out)["replicas"]
    assert [len(replica["partitions"]["users"]) for replica in replicas] == [10] * 5


def test_what_the_supervisor_refuses_fails(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scale", "user-management", "9"]) == FAILED
    assert "port 50059 is taken" in capsys.readouterr().err


def replica(*partitions: int, state: str = "running") -> dict[str, Any]:
    return {"state": state, "partitions": {"users": list(partitions)}}


@pytest.mark.parametrize(
    ("replicas", "done"),
    [
        ([replica(0, 1), replica(2)], True),
        ([replica(0, 1, 2), replica()], False),  # uneven
        ([replica(0, 1), replica(1, 2)], False),  # one held twice
        ([replica(0), replica(1)], False),  # one held by nobody
        ([replica(0, 1), replica(2, state="starting")], False),
        ([replica(0, 1, 2)], False),  # one replica is missing
    ],
)
def test_when_partitions_are_shared(replicas: list[dict[str, Any]], done: bool) -> None:
    assert shared(replicas, 2, {("users", p) for p in range(3)}) is done


def test_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([3, 0, 1, 2, 7, 9, 10]) == "0-3, 7, 9-10"
