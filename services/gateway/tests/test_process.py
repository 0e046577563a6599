"""`python -m rollcall_gateway`: settings, start, status, stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from rollcall_gateway.settings import Settings
from rollcall_service.settings import SettingsError

REQUIRED = {
    "USER_MANAGEMENT_TARGET": "ipv4:127.0.0.1:1",
    "ROLLCALL_TOKEN_SECRET": "a secret of the tests, and long enough",
}


def start(**variables: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], **REQUIRED, **variables}
    command = [sys.executable, "-m", "rollcall_gateway"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"USER_MANAGEMENT_TARGET": ""}, "USER_MANAGEMENT_TARGET"),
        ({"ROLLCALL_TOKEN_SECRET": ""}, "ROLLCALL_TOKEN_SECRET"),
        ({"ROLLCALL_TOKEN_SECRET": "short"}, "ROLLCALL_TOKEN_SECRET"),
        ({"GATEWAY_PORT": "65536"}, "GATEWAY_PORT"),
        ({"GATEWAY_PORT": "http"}, "GATEWAY_PORT"),
        ({"GATEWAY_MAX_IN_FLIGHT": "0"}, "GATEWAY_MAX_IN_FLIGHT"),
    ],
)
def test_a_wrong_setting_is_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        Settings.from_env(REQUIRED | variables)
    assert "short" not in str(caught.value)


def test_a_taken_port_is_one_line(taken: int) -> None:
    process = start(GATEWAY_PORT=str(taken))
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert errors.count("\n") == 1
    assert f"GATEWAY_PORT: can't listen on 127.0.0.1:{taken}" in errors


def test_it_starts_tells_its_status_and_stops_within_2_seconds() -> None:
    port, management = free_port(), free_port()
    process = start(GATEWAY_PORT=str(port), MANAGEMENT_PORT=str(management), REPLICA_ID="gateway-1")
    assert process.stderr is not None
    assert json.loads(process.stderr.readline())["message"] == "started"
    with urllib.request.urlopen(f"http://127.0.0.1:{management}/status", timeout=5) as answer:
        status = json.load(answer)
    assert status == {
        "id": "gateway-1",
        "service": "gateway",
        "group": None,
        "pid": process.pid,
        "state": "running",
        "partitions": {},
        "lag_records": 0,
        "lag_seconds": 0.0,
    }
    for path in (f"{management}/healthz", f"{port}/healthz"):
        with urllib.request.urlopen(f"http://127.0.0.1:{path}", timeout=5) as answer:
            assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"http://127.0.0.1:{management}/readyz", timeout=5)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert time.monotonic() - began < 2
    assert all(json.loads(line)["level"] == "INFO" for line in errors.splitlines())
