"""The platform with nothing but what commands need, of processes that may be killed one by one.

Kafka, Postgres, three replicas of user-management with failpoints, and the gateway, each with the
environment that the local platform gives it, and started again at once when it dies.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from e2e.waiting import eventually
from faults import failpoints
from faults.failpoints import Point
from faults.parts import answers, gateway_of, kafka_of, kept, postgres_of
from faults.processes import Kept

from rollcall_local import credentials, postgres, tokens
from rollcall_local.home import Home
from rollcall_local.ports import HOST, is_listening
from rollcall_local.process import Command
from rollcall_local.services import SERVICES, Wiring, environment, management_port

REPLICAS = 3
_UP_WITHIN = 60.0
_TESTS = Path(__file__).parents[1]
_USER_MANAGEMENT = SERVICES["user-management"]


@dataclass(frozen=True)
class Replica:
    process: Kept
    management_port: int
    failpoints: Path

    def has_partitions(self) -> bool:
        return answers(self.management_port, "/readyz")

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
    secrets = credentials.load_or_create(home, postgres.ROLES)
    server = postgres.Server(ports["POSTGRES_PORT"], secrets.postgres)
    wiring = Wiring(
        ports=ports,
        bootstrap_servers=f"{HOST}:{ports['KAFKA_PORT']}",
        group_protocol="consumer",
        database_urls={role: server.url(role) for role in postgres.SERVICE_ROLES},
        token_secret=secrets.token_secret,
        mail={},
        slack={},
    )
    with ExitStack() as stack:
        broker = kept(stack, kafka_of(home, ports, secrets.cluster_id))
        database = kept(stack, postgres_of(home, server))
        eventually(database.is_ready, within=_UP_WITHIN)
        postgres.provide(server, postgres.DATABASE)
        eventually(broker.is_ready, within=_UP_WITHIN)
        replicas = tuple(_replica(stack, home, number + 1, wiring) for number in range(REPLICAS))
        gateway = kept(stack, gateway_of(home, wiring))
        cluster = Cluster(
            broker,
            database,
            replicas,
            gateway,
            url=f"http://{HOST}:{ports['GATEWAY_PORT']}",
            token=tokens.mint(secrets.token_secret, "services/crash"),
            bootstrap_servers=wiring.bootstrap_servers,
            database_url=server.url(),
        )
        eventually(cluster.is_up, within=_UP_WITHIN)
        yield cluster


def _replica(stack: ExitStack, home: Home, number: int, wiring: Wiring) -> Replica:
    folder = home.run / f"failpoints-{number}"
    folder.mkdir(exist_ok=True)
    argv = (sys.executable, "-m", "faults.replica")
    path = os.pathsep.join([str(_TESTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    more = {failpoints.FOLDER: str(folder), "PYTHONPATH": path}
    command = Command(argv, env=environment(_USER_MANAGEMENT, number, wiring) | more)
    grpc_port = wiring.ports["USER_MANAGEMENT_PORT"] + number - 1
    log = home.log(_USER_MANAGEMENT.replica(number))
    process = kept(stack, Kept(command, log, lambda _: is_listening(grpc_port)))
    port = management_port(_USER_MANAGEMENT, number, wiring.ports["MANAGEMENT_PORT"])
    return Replica(process, port, folder)
