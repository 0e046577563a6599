"""Asking the supervisor of a state directory, and starting and ending it."""

import json
import os
import select
import socket
import subprocess
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Any

from rollcall_local import discovery, lock, logs, orphans
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home
from rollcall_local.process import python, tail
from rollcall_local.settings import Settings
from rollcall_local.supervisor import ENDED

Say = Callable[[str], None]

_LISTENS_WITHIN = 20.0  # seconds; includes ending what outlived a former supervisor
_END_WITHIN = 60.0


class NotRunning(Exception):
    """No platform runs on this state directory. The message says what is known of its end."""


def status(home: Home) -> dict[str, Any]:
    """What the supervisor knows, see report.py, or the network. Raises NotRunning."""
    if discovery.is_asked_for(os.environ):
        if found := discovery.status(os.environ):
            return found
        raise NotRunning("no service of the platform has an address here")
    return _answer(home, {"command": "status"})


def scale(home: Home, service: str, count: int) -> None:
    """Returns once replicas that go have ended. Raises NotRunning, PlatformError."""
    answer = _answer(home, {"command": "scale", "service": service, "count": count})
    if "error" in answer:
        raise PlatformError(answer["error"])


def up(home: Home, say: Say) -> bool:
    """Start the platform and wait until it runs; False when it ran already.

    Interrupted (KeyboardInterrupt included), it leaves nothing running. Raises PlatformError.
    """
    home.create()
    Settings.from_env(os.environ)  # what is wrong is said here, not in a log
    if _state(home) == "stopping":
        say("waiting for the former platform to end")
        wait_for_end(home)
    state = _state(home)
    if state == "running":
        return False
    owner = state is None
    try:
        if owner:
            _launch(home)
        _follow(home, owner=owner, say=say)
    except BaseException:
        if owner:
            _undo(home)
        raise
    return True


def down(home: Home) -> bool:
    """Stop the platform and wait for its end; False when none ran. Data stays."""
    try:
        list(_ask(home, {"command": "stop"}))
    except NotRunning:
        return bool(orphans.end_all(home.run))
    wait_for_end(home)
    return True


def wait_for_end(home: Home) -> None:
    """Wait until no supervisor holds the state directory. Raises PlatformError after a minute."""
    if not lock.wait_until_free(home.lock, _END_WITHIN):
        raise PlatformError(f"the platform did not end in {_END_WITHIN:g} s")


def _undo(home: Home) -> None:
    with suppress(NotRunning):
        list(_ask(home, {"command": "stop"}))
    wait_for_end(home)


def _follow(home: Home, *, owner: bool, say: Say) -> None:
    with closing(_ask(home, {"command": "follow", "owner": owner})) as news:
        for line in news:
            if "say" in line:
                say(line["say"])
            if "failed" in line:
                raise PlatformError(line["failed"])
            if "stopped" in line:
                raise PlatformError("the platform was stopped while it started")
            if "running" in line:
                return
    raise PlatformError(_story(home, "the supervisor ended"))


def _launch(home: Home) -> None:
    """Start a supervisor; it listens on return."""
    with logs.open_log(home.log("supervisor")) as output:
        process = subprocess.Popen(  # noqa: S603
            python("rollcall_local", str(home.root)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,  # it outlives this command and its terminal
            cwd="/",
        )
    process.returncode = 0  # nobody waits for it: it goes on without us
    assert process.stdout
    with process.stdout as words:
        spoken, _, _ = select.select([words], [], [], _LISTENS_WITHIN)
        word = words.readline().strip() if spoken else b""
    if word == b"busy":
        raise PlatformError("another `rollcall up` has just begun: run it again to follow that one")
    if word != b"listening":
        raise PlatformError(_story(home, "the supervisor could not start"))


def _ask(home: Home, request: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
    """The lines of the answer. Raises NotRunning at once where nobody answers."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.fspath(home.socket))
        connection.sendall(json.dumps(request).encode() + b"\n")
    except OSError:
        connection.close()
        raise NotRunning(_obituary(home)) from None
    return _lines(connection)


def _answer(home: Home, request: dict[str, Any]) -> dict[str, Any]:
    with closing(_ask(home, request)) as lines:
        for line in lines:
            return line
    raise NotRunning(_obituary(home))  # it ended just now


def _obituary(home: Home) -> str:
    if ended := home.read(ENDED):
        return str(ended["reason"])
    if any(home.run.glob("*.json")):
        return "the supervisor is gone, and nobody restarts what it left: run `rollcall up`"
    return "the platform is not running: run `rollcall up`"


def _lines(connection: socket.socket) -> Generator[dict[str, Any], None, None]:
    # A supervisor that ends resets the connections that it has not come to accept.
    with connection, suppress(ConnectionError), connection.makefile("rb") as file:
        for line in file:
            yield json.loads(line)


def _state(home: Home) -> str | None:
    try:
        return str(status(home)["state"])
    except NotRunning:
        return None


def _story(home: Home, headline: str) -> str:
    return "\n".join([f"{headline}; the end of supervisor.log:", *tail(home.log("supervisor"))])
