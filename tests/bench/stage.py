"""What is measured runs here: a platform of its own, and the peer on the same Postgres."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType

import psycopg2
from bench import cpu
from e2e.local_platform import Platform
from e2e.waiting import eventually

from rollcall_local import credentials, postgres
from rollcall_local.home import Home
from rollcall_local.ports import HOST, free_port, is_listening
from rollcall_local.supervisor import SCALE

NOTIFYING = ("email-notification", "slack-notification")

_UVICORN = (
    *("--host", HOST, "--workers", "1", "--loop", "uvloop", "--http", "httptools"),
    *("--no-access-log", "--log-level", "warning"),
)
_PEER_WITHIN = 20.0  # seconds, to start
_IDLE_WITHIN = 300.0  # seconds, for the consumers to have read everything


class CannotMeasure(Exception):
    """The message says what is missing."""


def benchmark(measure: Callable[[], None]) -> int:
    """The exit code of a benchmark that measures with platforms and the CPU time of processes; what
    is missing is said."""
    if not cpu.KNOWN:
        print("CPU time and memory of processes are read from Linux's /proc.", file=sys.stderr)  # noqa: T201
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the platforms end with us
    try:
        measure()
    except CannotMeasure as missing:
        print(missing, file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def platform(variables: Mapping[str, str] = MappingProxyType({})) -> Iterator[Platform]:
    """Rollcall with Apache Kafka, and without the services that notify; removed at the end.

    variables: of its environment, beside its own."""
    with tempfile.TemporaryDirectory(prefix="rollcall-bench-") as folder:
        home = Home(Path(folder) / "state")
        home.create()
        home.write(SCALE, dict.fromkeys(NOTIFYING, 0))  # `scale` itself goes down to 1
        running = Platform(home.root)
        running.variables |= variables
        try:
            _do(running, "up")
            if running.status()["broker"]["kind"] != "kafka":
                raise CannotMeasure(
                    "the embedded broker keeps its log in memory: this needs Apache Kafka "
                    "(see ROLLCALL_BROKER in the README)"
                )
            yield running
        finally:
            _do(running, "clean")


def start_anew(platform: Platform) -> None:
    """Over the same data, with the variables that it has now."""
    _do(platform, "down")
    _do(platform, "up")


def start_notifying(platform: Platform) -> None:
    """Start mail and Slack; they settle what was there before without sending."""
    for service in NOTIFYING:
        _do(platform, "scale", service, "1")


def wait_until_idle(platform: Platform) -> None:
    """Wait until every group has read the log to its end."""

    def no_lag() -> bool:
        replicas = [r for service in platform.status()["services"] for r in service["replicas"]]
        return all(r["state"] == "running" and not r.get("lag_records") for r in replicas)

    eventually(no_lag, within=_IDLE_WITHIN)


def grpc_target(platform: Platform) -> str:
    """All replicas of user-management."""
    first, count = platform.ports["USER_MANAGEMENT_PORT"], len(platform.replicas("user-management"))
    return "ipv4:" + ",".join(f"{HOST}:{first + number}" for number in range(count))


@contextmanager
def peer(platform: Platform) -> Iterator[tuple[int, int]]:
    """The peer's port and process id: one worker, as fast as uvicorn runs it."""
    port = free_port()
    tests = str(Path(__file__).resolve().parents[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "bench.peer:app", *_UVICORN, "--port", str(port)],
        env=os.environ | {"PYTHONPATH": tests, "DATABASE_URL": _peer_database(platform)},
        start_new_session=True,  # the terminal's Ctrl-C is ours
    )
    try:
        eventually(_listens(process, port), within=_PEER_WITHIN)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def processes(platform: Platform, **others: int) -> Mapping[str, list[int]]:
    """Process ids by what they belong to; others: of one process each."""
    pids = {name: int(process["pid"]) for name, process in platform.processes().items()}

    def of(*services: str) -> list[int]:
        return [pid for name, pid in pids.items() if name.startswith(services)]

    return {
        "gateway": of("gateway"),
        "users": of("user-management"),
        "postgres": of("postgres"),
        "kafka": of("kafka"),
        "notifying": of(*NOTIFYING, "mailbox", "slack"),
        **{name: [pid] for name, pid in others.items()},
    }


def _do(platform: Platform, *arguments: str) -> None:
    said = platform.ask(*arguments)
    if said.code != 0:
        raise CannotMeasure(f"rollcall {' '.join(arguments)}: {said.err.strip()}")


def store_url(platform: Platform) -> str:
    """The platform's database, as the superuser's."""
    return _server(platform).url(database=postgres.DATABASE)


def new_database(platform: Platform, name: str) -> str:
    """The address of a new one on the platform's Postgres."""
    server = _server(platform)
    with closing(psycopg2.connect(server.url(database="postgres"))) as connection:
        connection.autocommit = True  # a database is not made in a transaction
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
    return server.url(database=name)


def _server(platform: Platform) -> postgres.Server:
    passwords = credentials.load_or_create(Home(platform.home), postgres.ROLES).postgres
    return postgres.Server(platform.ports["POSTGRES_PORT"], passwords)


def _peer_database(platform: Platform) -> str:
    url = new_database(platform, "peer")
    return url.replace("postgresql", "postgresql+psycopg2", 1)


def _listens(process: subprocess.Popen[bytes], port: int) -> Callable[[], bool]:
    def listens() -> bool:
        if process.poll() is not None:
            raise CannotMeasure("the peer ended while it started")
        return is_listening(port)

    return listens
