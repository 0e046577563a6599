"""Starting the platform when it cannot start: one line, and nothing left behind."""

import signal
import socket
import subprocess
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from e2e import addresses

from rollcall_local import client, lock
from rollcall_local.home import Home
from rollcall_local.ports import HOST
from rollcall_local.process import python

# `rollcall up` without the rollcall command, which is another package's.
UP = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where tests run in the background
from rollcall_local import client
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home
try:
    client.up(Home.from_env(os.environ), lambda text: print(text, flush=True))
except PlatformError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return addresses.environment(tmp_path / "state")


def up(environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [python()[0], "-c", UP],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left(home: Home) -> list[str]:
    """Processes of this platform that still run."""
    return [
        process.info["cmdline"][0]
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] and any(str(home.root) in w for w in process.info["cmdline"])
    ]


def test_a_taken_port_fails_the_start_in_one_line(environment: dict[str, str]) -> None:
    home = Home.from_env(environment)
    with socket.create_server((HOST, int(environment["SMTP_PORT"]))), up(environment) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1, errors
    line = errors
    assert environment["SMTP_PORT"] in line
    assert "SMTP_PORT" in line
    assert left(home) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_start_is_undone(environment: dict[str, str], how: signal.Signals) -> None:
    home = Home.from_env(environment)
    with up(environment) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("starting Postgres")
        process.send_signal(how)
        process.communicate(timeout=30)
    assert lock.wait_until_free(home.lock, 30)
    assert left(home) == []
    with pytest.raises(client.NotRunning):
        client.status(home)
