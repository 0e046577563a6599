"""Each part of the platform: its command, how it is known to be ready, and the ports it takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rollcall_local import embedded_broker, postgres, probes
from rollcall_local.child import Part
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home
from rollcall_local.ports import HOST, is_free
from rollcall_local.process import Command, python
from rollcall_local.services import (
    SERVICES,
    Service,
    Wiring,
    environment,
    grpc_port,
    http_port,
    management_port,
)
from rollcall_local.settings import Settings

Ports = Mapping[str, int]


@dataclass(frozen=True)
class Claim:
    """A port, what wants it, and the variable that gives it another."""

    port: int
    wanted_by: str
    variable: str


def require_free(claims: Iterable[Claim]) -> None:
    """Raise PlatformError for the first port that something else listens on."""
    for claim in claims:
        if not is_free(claim.port):
            raise PlatformError(
                f"port {claim.port}, wanted by {claim.wanted_by}, is taken: "
                f"set {claim.variable} to another"
            )


def backing_claims(settings: Settings) -> list[Claim]:
    """The ports of this machine's own parts, beside the services'."""
    wanted = {
        "POSTGRES_PORT": "Postgres" if not settings.database_url else None,
        "KAFKA_PORT": "the broker" if not settings.bootstrap_servers else None,
        "KAFKA_CONTROLLER_PORT": "Kafka's controller"
        if not settings.bootstrap_servers and settings.broker != "embedded"
        else None,
        "SMTP_PORT": "the mailbox (SMTP)" if not settings.smtp_url else None,
        "MAILBOX_PORT": "the mailbox (HTTP)" if not settings.smtp_url else None,
        "SLACK_PORT": "the Slack stand-in" if not settings.slack_bot_token else None,
    }
    return [Claim(settings.ports[name], who, name) for name, who in wanted.items() if who]


def replica_claims(service: Service, number: int, ports: Ports) -> list[Claim]:
    name = service.replica(number)
    management = management_port(service, number, ports["MANAGEMENT_PORT"])
    claims = [Claim(management, f"{name} (management)", "MANAGEMENT_PORT")]
    if service.name == "gateway":
        claims.append(Claim(http_port(number, ports), f"{name} (HTTP)", "GATEWAY_PORT"))
    grpc = grpc_port(service, number, ports)
    if service.grpc and grpc:
        claims.append(Claim(grpc, f"{name} (gRPC)", service.grpc))
    return claims


_STOP_WITHIN = 15.0  # seconds; a sender waits for what is in flight


def replica(service: Service, number: int, wiring: Wiring) -> Part:
    management = management_port(service, number, wiring.ports["MANAGEMENT_PORT"])
    return Part(
        name=service.replica(number),
        command=Command(
            service.command(), environment(service, number, wiring), stop_within=_STOP_WITHIN
        ),
        ready=probes.http_ok(management, "/readyz"),
        address=f"http://{HOST}:{management}",
    )


def replicas(counts: Mapping[str, int]) -> list[tuple[Service, int]]:
    """Every replica of every service, as (service, number)."""
    return [
        (service, number)
        for name, service in SERVICES.items()
        for number in range(1, counts[name] + 1)
    ]


def postgres_part(home: Home, ports: Ports) -> Part:
    port, data = ports["POSTGRES_PORT"], home.data / "postgres"
    return Part(
        name="postgres",
        command=postgres.command(data, port),
        ready=probes.postgres_ready(data),
        address=f"postgresql://{HOST}:{port}",
    )


def kafka_part(argv: Iterable[str], port: int) -> Part:
    return Part(
        name="kafka",
        command=Command(tuple(argv), stop_within=15),
        ready=probes.listens(port),
        address=f"{HOST}:{port}",
    )


def embedded_part(home: Home, port: int) -> Part:
    return Part(
        name="embedded-broker",
        command=embedded_broker.command(home.data / "embedded-broker", port),
        ready=probes.listens(port),
        address=f"{HOST}:{port}",
        vital=True,
    )


def mailbox_part(home: Home, ports: Ports) -> Part:
    smtp, http = ports["SMTP_PORT"], ports["MAILBOX_PORT"]
    database = home.data / "mailbox.db"
    return Part(
        name="mailbox",
        command=Command(python("rollcall_local.mailbox", str(database), str(smtp), str(http))),
        ready=probes.listens(smtp, http),
        address=f"http://{HOST}:{http}",
    )


def slack_part(home: Home, ports: Ports) -> Part:
    port, database = ports["SLACK_PORT"], home.data / "slack.db"
    return Part(
        name="slack",
        command=Command(python("rollcall_local.slack", str(database), str(port))),
        ready=probes.listens(port),
        address=f"http://{HOST}:{port}",
    )
