"""The whole platform, of processes that may be killed, stalled, added and removed one by one.

Kafka, Postgres, the gateway and a few replicas of each service that consumes, each with the
environment that the local platform gives it; mail and Slack messages go to the test's providers.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from chaos import replica
from chaos.providers import Providers
from e2e.waiting import eventually
from faults.log import PARTITIONS, TOPIC
from faults.parts import answers, gateway_of, kafka_of, kept, postgres_of
from faults.processes import Kept

from rollcall_local import credentials, postgres, tokens
from rollcall_local.home import Home
from rollcall_local.ports import HOST
from rollcall_local.process import Command
from rollcall_local.services import (
    MAIL,
    SERVICES,
    SLACK,
    USERS,
    Service,
    Wiring,
    environment,
    grpc_port,
    management_port,
)

REPLICAS: Mapping[str, int] = {USERS: 3, MAIL: 2, SLACK: 2}  # at first
CHANNEL = "#audit"
_UP_WITHIN = 60.0  # seconds
_PROBE = 1.0  # seconds
_TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Replica:
    name: str
    process: Kept
    operators: str  # where it serves operators, and commands, over gRPC
    management: str

    def partitions(self) -> set[int]:
        """Those that it says it holds; none if it does not answer."""
        try:
            answer = httpx.get(f"{self.management}/status", timeout=_PROBE, trust_env=False)
        except httpx.TransportError:
            return set()
        return set(answer.json().get("partitions", {}).get(TOPIC, ()))


def wrongly_held(held: Mapping[str, set[int]]) -> list[str]:
    """Partitions that not exactly one holds. held: by name."""
    holders = {p: [name for name, mine in held.items() if p in mine] for p in range(PARTITIONS)}
    return [
        f"partition {partition} is held by {' and '.join(names) or 'nobody'}"
        for partition, names in holders.items()
        if len(names) != 1
    ]


@dataclass
class Group:
    """A service that consumes, and its replicas, the first of which is always there."""

    service: Service
    home: Home
    wiring: Wiring
    argv: tuple[str, ...]
    variables: Mapping[str, str]
    replicas: list[Replica] = field(default_factory=list)

    def add(self) -> Replica:
        number = len(self.replicas) + 1
        name = self.service.replica(number)
        env = environment(self.service, number, self.wiring) | dict(self.variables)
        port = management_port(self.service, number, self.wiring.ports["MANAGEMENT_PORT"])
        process = Kept(
            Command(self.argv, env=env), self.home.log(name), lambda _: answers(port, "/readyz")
        )
        served = f"{HOST}:{grpc_port(self.service, number, self.wiring.ports)}"
        self.replicas.append(Replica(name, process, served, f"http://{HOST}:{port}"))
        return self.replicas[-1]

    def remove(self) -> Replica:
        """The last one: asked to end, and gone."""
        last = self.replicas.pop()
        last.process.stop()
        return last

    def holds_all(self) -> bool:
        """Whether those that answer hold every partition."""
        held = [replica.partitions() for replica in self.replicas]
        return set().union(*held) == set(range(PARTITIONS))

    def wrongly_held(self) -> list[str]:
        return wrongly_held({replica.name: replica.partitions() for replica in self.replicas})

    def stop(self) -> None:
        while self.replicas:
            self.remove()


@dataclass(frozen=True)
class Cluster:
    kafka: Kept
    postgres: Kept
    gateway: Kept
    groups: Mapping[str, Group]
    providers: Providers
    unhandled: Path  # a file named like a key: notifiers cannot handle its events
    url: str
    token: str
    bootstrap_servers: str
    database_url: str  # the superuser's

    def is_up(self) -> bool:
        return all(process.is_ready() for process in self.processes())

    def is_consumed(self) -> bool:
        """Whether each group holds every partition."""
        return all(group.holds_all() for group in self.groups.values())

    def wrongly_held(self) -> list[str]:
        """Partitions that not exactly one replica of a group says it holds."""
        return [
            f"{name}: {wrong}"
            for name, group in self.groups.items()
            for wrong in group.wrongly_held()
        ]

    def processes(self) -> list[Kept]:
        replicas = [r.process for group in self.groups.values() for r in group.replicas]
        return [self.kafka, self.postgres, self.gateway, *replicas]


@contextmanager
def running(
    home: Home, ports: Mapping[str, int], replicas: Mapping[str, int] = REPLICAS
) -> Iterator[Cluster]:
    """A cluster that is ready, with its data and logs in `home`; stopped at the end.

    ports: by variable, as the local platform has them. replicas: of each service at first. Raises
    Unavailable where Kafka cannot be had.
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
        mail={
            "SMTP_URL": f"smtp://{HOST}:{ports['SMTP_PORT']}",
            "MAIL_FROM": "Rollcall <no-reply@rollcall.example>",
        },
        slack={
            "SLACK_BOT_TOKEN": "xoxb-test",
            "SLACK_API_URL": f"http://{HOST}:{ports['SLACK_PORT']}/api/",
            "SLACK_CHANNEL": CHANNEL,
        },
    )
    with ExitStack() as stack:
        providers = Providers(ports["SMTP_PORT"], ports["SLACK_PORT"])
        stack.enter_context(providers)
        broker = kept(stack, kafka_of(home, ports, secrets.cluster_id))
        database = kept(stack, postgres_of(home, server))
        eventually(database.is_ready, within=_UP_WITHIN)
        postgres.provide(server, postgres.DATABASE)
        eventually(broker.is_ready, within=_UP_WITHIN)
        unhandled = home.run / "unhandled"
        unhandled.mkdir()
        cluster = Cluster(
            broker,
            database,
            kept(stack, gateway_of(home, wiring)),
            {
                name: _group(stack, home, name, wiring, unhandled, number)
                for name, number in replicas.items()
            },
            providers,
            unhandled,
            url=f"http://{HOST}:{ports['GATEWAY_PORT']}",
            token=tokens.mint(secrets.token_secret, "services/chaos"),
            bootstrap_servers=wiring.bootstrap_servers,
            database_url=server.url(),
        )
        eventually(cluster.is_up, within=_UP_WITHIN)
        yield cluster


def _group(
    stack: ExitStack, home: Home, name: str, wiring: Wiring, unhandled: Path, number: int
) -> Group:
    service = SERVICES[name]
    argv, variables = service.command(), {}
    if name in replica.MAINS:
        path = os.pathsep.join([str(_TESTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        argv = (sys.executable, "-m", "chaos.replica", name)
        variables = {replica.UNHANDLED: str(unhandled), "PYTHONPATH": path}
    group = Group(service, home, wiring, argv, variables)
    stack.callback(group.stop)
    for _ in range(number):
        group.add()
    return group
