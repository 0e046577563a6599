"""A platform of docker-compose.yml, with names, ports and volumes of its own, driven by Compose."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e2e.addresses import elsewhere
from e2e.local_platform import Said, said
from e2e.waiting import eventually
from manifests.rendered import ROOT

from rollcall_local.ports import HOST, free_port

_UP_WITHIN = 600.0  # seconds; the first start of an engine pulls images
_COMMAND_WITHIN = 180.0
_JOB_WITHIN = 60.0
_SERVED = ("GATEWAY_PORT", "MAILBOX_PORT", "SLACK_PORT")


class Composed:
    def __init__(self, compose: Sequence[str], files: Sequence[Path]):
        ports = {name: free_port() for name in _SERVED}
        self.url, self.mailbox, self.slack = (f"http://{HOST}:{ports[name]}" for name in _SERVED)
        self._compose = [*compose, "--project-directory", str(ROOT)]
        self._compose += [word for file in files for word in ("-f", str(file))]
        named = {"COMPOSE_PROJECT_NAME": f"rollcall-test-{os.getpid()}-{len(files)}"}
        self._variables = elsewhere() | named | {n: str(port) for n, port in ports.items()}

    def up(self) -> None:
        """Returns when the services are well and the first user is there."""
        self.compose("up", "--detach", "--no-build", within=_UP_WITHIN)
        eventually(self._is_told, within=_JOB_WITHIN)

    def down(self) -> None:
        """With the data."""
        self.compose("down", "--volumes", "--remove-orphans")

    def compose(self, *arguments: str, within: float = _COMMAND_WITHIN) -> str:
        """What it prints; its failure is the test's."""
        answer = self.ask(*arguments, within=within)
        assert answer.code == 0, f"{' '.join(arguments)}: {answer.err}"
        return answer.out

    def ask(self, *arguments: str, within: float = _COMMAND_WITHIN) -> Said:
        return said([*self._compose, *arguments], self._variables, within)

    def rollcall(self, *arguments: str) -> str:
        """What the operator's command prints."""
        return self.compose("run", "--rm", "--no-TTY", "rollcall", *arguments)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Those that are there, running or not: `Name`, `State`, `Health`, `ExitCode`, ..."""
        lines = self.compose("ps", "--all", "--format", "json", service).splitlines()
        return [json.loads(line) for line in lines]

    def well(self, service: str) -> list[str]:
        """The names of its containers that are healthy."""
        return [c["Name"] for c in self.containers(service) if c["Health"] == "healthy"]

    def signal(self, container: str, name: str) -> None:
        argv = ["docker", "kill", "--signal", name, container]
        subprocess.run(argv, env=self._variables, capture_output=True, timeout=60, check=True)

    def _is_told(self) -> None:
        (job,) = self.containers("first-user")
        assert (job["State"], job["ExitCode"]) == ("exited", 0), job["State"]
