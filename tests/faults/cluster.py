"""The platform with nothing but what commands need, of processes that may be killed one by one.

Kafka, Postgres, three replicas of user-management with failpoints, and the gateway, each with the
environment that the local platform gives it, and started again at once when it dies.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from signal import Signals

from e2e.waiting import eventually
from faults import failpoints
from faults.failpoints import Point
from faults.processes import Kept

from rollcall_local import credentials, kafka, postgres, tokens
from rollcall_local.home import Home
from rollcall_local.ports import HOST, is_listening
from rollcall_local.process import Command
from rollcall_local.services import SERVICES, Wiring, environment, management_port

REPLICAS = 3
_PROBE = 2.0  # seconds
_UP_WITHIN = 60.0
_TESTS = Path(__file__).parents[1]
_USER_MANAGEMENT, _GATEWAY = SERVICES["user-management"], SERVICES["gateway"]


@dataclass(frozen=True)
class Replica:
    process: Kept
    management_port: int
    failpoints: Path

    def has_partitions(self) -> bool:
        return _answers(self.management_port, "/readyz")

    def arm(self, point: Point, signal: Signals) -> None:
        failpoints.arm(self.failpoints, point, signal)

    def is_armed(self, point: Point) -> bool:
        return failpoints.is_armed(self.failpoints, point)


@dataclass(frozen=True)
class Cluster:
    kafka: Kept
    postgres: Kept
    replicas: tuple[Replica, ...]
    gateway: Kept
    url: str
    token: str
    bootstrap_servers: str
    database_url: str  # the superuser's

    def is_up(self) -> bool:
        return all(process.is_ready() for process in self.processes())

    def processes(self) -> list[Kept]:
        return [self.kafka, self.postgres, self.gateway, *(r.process for r in self.replicas)]


@contextmanager
def running(home: Home, ports: Mapping[str, int]) -> Iterator[Cluster]:
    """A cluster that is ready, with its data and logs in `home`; stopped at the end.

    ports: by variable, as the local platform has them. Raises Unavailable where Kafka cannot be
    had.
    """
    home.create()
    kept = credentials.load_or_create(home, postgres.ROLES)
    server = postgres.Server(ports["POSTGRES_PORT"], kept.postgres)
    wiring = Wiring(
        ports=ports,
        bootstrap_servers=f"{HOST}:{ports['KAFKA_PORT']}",
        group_protocol="consumer",
        database_urls={role: server.url(role) for role in postgres.SERVICE_ROLES},
        token_secret=kept.token_secret,
        mail={},
        slack={},
    )
    with ExitStack() as stack:
        broker = _kept(stack, _kafka(home, ports, kept.cluster_id))
        database = _kept(stack, _postgres(home, server))
        eventually(database.is_ready, within=_UP_WITHIN)
        postgres.provide(server, postgres.DATABASE)
        eventually(broker.is_ready, within=_UP_WITHIN)
        replicas = tuple(_replica(stack, home, number + 1, wiring) for number in range(REPLICAS))
        gateway = _kept(stack, _gateway(home, wiring))
        cluster = Cluster(
            broker,
            database,
            replicas,
            gateway,
            url=f"http://{HOST}:{ports['GATEWAY_PORT']}",
            token=tokens.mint(kept.token_secret, "services/crash"),
            bootstrap_servers=wiring.bootstrap_servers,
            database_url=server.url(),
        )
        eventually(cluster.is_up, within=_UP_WITHIN)
        yield cluster


def _kept(stack: ExitStack, process: Kept) -> Kept:
    stack.callback(process.stop)
    return process


def _kafka(home: Home, ports: Mapping[str, int], cluster_id: str) -> Kept:
    port = ports["KAFKA_PORT"]
    installation = kafka.install(os.environ, say=lambda _: None)
    data = home.data / "kafka"
    configuration = kafka.configure(data, port, ports["KAFKA_CONTROLLER_PORT"])
    kafka.format_storage(installation, configuration, cluster_id)
    command = kafka.command(installation, configuration)
    return Kept(command, home.log("kafka"), lambda _: is_listening(port))


def _postgres(home: Home, server: postgres.Server) -> Kept:
    data = home.data / "postgres"
    postgres.initialise(data, server.passwords[postgres.SUPERUSER])
    command = postgres.command(data, server.port)
    return Kept(command, home.log("postgres"), lambda pid: postgres.is_ready(data, pid))


def _replica(stack: ExitStack, home: Home, number: int, wiring: Wiring) -> Replica:
    folder = home.run / f"failpoints-{number}"
    folder.mkdir(exist_ok=True)
    argv = (sys.executable, "-m", "faults.replica")
    path = os.pathsep.join([str(_TESTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    more = {failpoints.FOLDER: str(folder), "PYTHONPATH": path}
    command = Command(argv, env=environment(_USER_MANAGEMENT, number, wiring) | more)
    grpc_port = wiring.ports["USER_MANAGEMENT_PORT"] + number - 1
    log = home.log(_USER_MANAGEMENT.replica(number))
    process = _kept(stack, Kept(command, log, lambda _: is_listening(grpc_port)))
    port = management_port(_USER_MANAGEMENT, number, wiring.ports["MANAGEMENT_PORT"])
    return Replica(process, port, folder)


def _gateway(home: Home, wiring: Wiring) -> Kept:
    command = Command(_GATEWAY.command(), env=environment(_GATEWAY, 1, wiring))
    port = wiring.ports["GATEWAY_PORT"]
    return Kept(command, home.log("gateway"), lambda _: _answers(port, "/readyz"))


def _answers(port: int, path: str) -> bool:
    with closing(HTTPConnection(HOST, port, timeout=_PROBE)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
