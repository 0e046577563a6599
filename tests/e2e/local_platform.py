"""A platform in a directory of its own, driven by the `rollcall` command as its users drive it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.addresses import environment, ports_of

from rollcall_local.ports import HOST

_COMMAND_WITHIN = 120.0  # seconds


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


def said(argv: Sequence[str], variables: Mapping[str, str], within: float) -> Said:
    """What a program says that runs in that environment, for so many seconds at most."""
    done = subprocess.run(
        argv, env=variables, capture_output=True, text=True, timeout=within, check=False
    )
    return Said(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Ended:
    """A process that was ended, and is to be replaced by another."""

    name: str
    pid: int
    at: float  # time.monotonic()

    def left(self, within: float) -> float:
        """Seconds left of those `within` which all must be well again."""
        return max(0.0, self.at + within - time.monotonic())


class Platform:
    def __init__(self, home: Path, python: Path = Path(sys.executable)):
        """python: the interpreter of the release that is run."""
        self.home = home
        self._python = python
        self.variables = environment(home)
        self.ports = ports_of(self.variables)
        self.url = f"http://{HOST}:{self.ports['GATEWAY_PORT']}"
        self.mailbox = f"http://{HOST}:{self.ports['MAILBOX_PORT']}"
        self.slack = f"http://{HOST}:{self.ports['SLACK_PORT']}"

    def ask(self, *arguments: str) -> Said:
        """Run `rollcall` with these arguments."""
        argv = [str(self._python), "-m", "rollcall_cli", *arguments]
        return said(argv, self.variables, _COMMAND_WITHIN)

    def run(self, *arguments: str) -> str:
        """What `rollcall` prints; its failure is the test's."""
        answer = self.ask(*arguments)
        assert answer.code == 0, f"rollcall {' '.join(arguments)}: {answer.err}"
        return answer.out

    @contextmanager
    def running(self) -> Iterator["Platform"]:
        """Started, and stopped at the end; also where the start fails."""
        try:
            self.run("up")
            yield self
        finally:
            self.run("down")

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run("status", "--json"))
        return document

    def replicas(self, service: str) -> list[dict[str, Any]]:
        services = self.status()["services"]
        return next(list(s["replicas"]) for s in services if s["name"] == service)

    def processes(self) -> dict[str, dict[str, Any]]:
        """Every part and replica by its name, each with its `pid` and `state`."""
        status = self.status()
        replicas = [r for service in status["services"] for r in service["replicas"]]
        return {p["name"]: p for p in status["parts"]} | {r["id"]: r for r in replicas}

    def kill(self, name: str) -> Ended:
        """kill -9 one process."""
        return self._send(name, signal.SIGKILL)

    def end(self, name: str) -> Ended:
        """Tell one process to end by itself, as whoever starts another version of it does."""
        return self._send(name, signal.SIGTERM)

    def revived(self, ended: Ended) -> bool:
        """Whether another process runs in place of the one that was ended, and is ready."""
        process = self.processes()[ended.name]
        return process["state"] == "running" and process["pid"] not in (None, ended.pid)

    def _send(self, name: str, what: signal.Signals) -> Ended:
        pid = int(self.processes()[name]["pid"])
        os.kill(pid, what)
        return Ended(name, pid, time.monotonic())
