"""A rolling upgrade for real: each replica of an earlier release gives way to one of this checkout.

Run: python -m upgrade --from <commit> (make upgrade FROM=<commit>). The earlier release is cloned
and installed, and its platform started; while users are made, each of its replicas is ended and
one of this checkout started in its place, with its environment and its ports, as a new image is. Of
the gateway the new one starts first. Prints what became of the requests, the users and the welcome
mails. Exits 1 if a request failed, or anything is missing or repeated.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]  # a process's environment, on every system
from e2e import stores
from e2e.balancer import Balancer
from e2e.halting import halted
from e2e.local_platform import Platform
from e2e.messages import welcomes
from e2e.posted import EVENTS, goes_on
from e2e.posting import Posting
from e2e.waiting import eventually

from rollcall_local.ports import HOST, free_port
from rollcall_local.services import SERVICES

HERE = Path(__file__).resolve().parents[2]
READY_WITHIN = 60.0  # seconds
STOP_WITHIN = 30.0  # seconds
READ_WITHIN = 120.0  # seconds until all is read and sent, once no more users are made


@dataclass
class Replica:
    """One process of a service. variables: those that it was started with."""

    name: str
    service: str
    variables: dict[str, str] = field(repr=False)
    process: psutil.Process

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        eventually(self._has_ended, within=STOP_WITHIN)

    def is_ready(self) -> bool:
        port = self.variables["MANAGEMENT_PORT"]
        try:
            return httpx.get(f"http://{HOST}:{port}/readyz", timeout=2).is_success
        except httpx.TransportError:
            return False

    def _has_ended(self) -> bool:
        try:
            return bool(self.process.status() == psutil.STATUS_ZOMBIE)  # its parent stands still
        except psutil.NoSuchProcess:
            return True


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="rollcall-upgrade-") as folder:
        earlier = Path(folder) / "earlier"
        _install(options.commit, earlier)
        platform = Platform(Path(folder) / "state", python=earlier / ".venv" / "bin" / "python")
        try:
            platform.run("up")
            return _run(platform, Path(folder))
        except KeyboardInterrupt:
            return 130
        finally:
            platform.run("clean")


def _install(commit: str, folder: Path) -> None:
    _say(f"installing {commit} ...")
    for argv in (
        ["git", "clone", "--quiet", str(HERE), str(folder)],
        ["git", "-C", str(folder), "checkout", "--quiet", commit],
        ["make", "--silent", "-C", str(folder), ".venv/.installed"],
    ):
        subprocess.run(argv, check=True)


def _run(platform: Platform, folder: Path) -> int:
    token = platform.run("token").strip()
    old = list(_replicas(platform))
    gateway = platform.url.replace(str(platform.ports["GATEWAY_PORT"]), str(free_port()))
    with ExitStack() as stack:
        store = stack.enter_context(closing(stores.connect(platform)))
        # The supervisor would start the earlier release again.
        stack.enter_context(halted(old[0].process.ppid()))
        balancer = stack.enter_context(Balancer([platform.url, gateway]))
        with Posting(platform.url, token, balancer) as posting:
            for replica in old:
                goes_on(posting)
                _say(f"{replica.name}, after {len(posting.created())} users")
                if replica.service == "gateway":
                    _start(replica, folder, stack, GATEWAY_PORT=httpx.URL(gateway).port)
                    replica.end()
                else:
                    replica.end()
                    _start(replica, folder, stack)
            goes_on(posting)
        return _told(platform, store, posting)


def _replicas(platform: Platform) -> Iterator[Replica]:
    for service in platform.status()["services"]:
        for told in service["replicas"]:
            process = psutil.Process(told["pid"])
            yield Replica(told["id"], service["name"], process.environ(), process)


def _start(old: Replica, folder: Path, stack: ExitStack, **ports: int | None) -> None:
    """One of this checkout, with the environment of the old one but for the ports; until the end of
    the stack."""
    variables = dict(old.variables)
    if ports:
        variables |= {"MANAGEMENT_PORT": str(free_port())}
        variables |= {name: str(port) for name, port in ports.items()}
    log = folder / f"{old.name}.log"
    started = subprocess.Popen(
        SERVICES[old.service].command(),
        env=variables,
        stdout=stack.enter_context(log.open("wb")),
        stderr=subprocess.STDOUT,
    )
    new = Replica(old.name, old.service, variables, psutil.Process(started.pid))
    stack.callback(started.wait)
    stack.callback(new.end)
    try:
        eventually(new.is_ready, within=READY_WITHIN)
    except AssertionError:
        _say("".join(log.read_text().splitlines(keepends=True)[-20:]))
        raise


def _told(platform: Platform, store: Any, posting: Posting) -> int:
    """Says what became of everything; 0 if all is well."""
    created = {answer.email: answer.id for answer in posting.created()}
    with suppress(AssertionError):  # what is missing then is told
        eventually(
            lambda: (
                created.keys() <= welcomes(platform).keys()
                and all(_events(store, created).values())
            ),
            within=READ_WITHIN,
        )
    events = _events(store, created)
    sent = {email: len(ids) for email, ids in welcomes(platform).items() if email in created}
    wrong = {
        "requests that failed": len(posting.others()),
        "users missing": sum(n == 0 for n in events.values()),
        "users with more than one event": sum(n > 1 for n in events.values()),
        "welcome mails missing": len(created) - len(sent),
        "welcome mails repeated": sum(n > 1 for n in sent.values()),
    }
    _say(f"{len(created)} users were made")
    for what, count in wrong.items():
        _say(f"{what}: {count}")
    for answer in posting.others()[:5]:
        _say(f"  {answer.status} {answer.body}")
    return 1 if any(wrong.values()) else 0


def _events(store: Any, created: Mapping[str, str]) -> dict[str, int]:
    return dict(stores.rows_of(store, EVENTS, list(created.values())))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="commit", required=True, help="the earlier release")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
