"""The services of the platform: one entry each, with the environment that it is started with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rollcall_local.ports import HOST, REPLICAS
from rollcall_local.process import python

Variables = dict[str, str]


@dataclass(frozen=True)
class Wiring:
    """Where the parts are that the services need, as decided at this start."""

    ports: Mapping[str, int]
    bootstrap_servers: str
    group_protocol: str
    database_urls: Mapping[str, str] = field(repr=False)  # role → URL
    token_secret: str = field(repr=False)
    mail: Mapping[str, str] = field(repr=False)  # variables of the mail server
    slack: Mapping[str, str] = field(repr=False)  # variables of the Slack API


@dataclass(frozen=True)
class Service:
    name: str
    group: str | None  # its consumer group
    replicas: int  # at first, and REPLICAS at the most
    variables: Callable[[Wiring, int], Variables]  # of replica 1, 2, …
    grpc: str | None = None  # the variable of its first replica's port

    def replica(self, number: int) -> str:
        return f"{self.name}-{number}"

    def command(self) -> tuple[str, ...]:
        return python("rollcall_" + self.name.replace("-", "_"))


def _consumer(wiring: Wiring, role: str) -> Variables:
    return {
        "DATABASE_URL": wiring.database_urls[role],
        "KAFKA_BOOTSTRAP_SERVERS": wiring.bootstrap_servers,
        "KAFKA_GROUP_PROTOCOL": wiring.group_protocol,
    }


def _user_management(wiring: Wiring, number: int) -> Variables:
    return _consumer(wiring, "user_management")


def _email_notification(wiring: Wiring, number: int) -> Variables:
    return _consumer(wiring, "email_notification") | dict(wiring.mail)


def _slack_notification(wiring: Wiring, number: int) -> Variables:
    return _consumer(wiring, "slack_notification") | dict(wiring.slack)


def _gateway(wiring: Wiring, number: int) -> Variables:
    # All ports that user-management may ever have: scaling it needs nothing here.
    first = wiring.ports["USER_MANAGEMENT_PORT"]
    replicas = ",".join(f"{HOST}:{first + n}" for n in range(REPLICAS))
    return {
        "USER_MANAGEMENT_TARGET": f"ipv4:{replicas}",
        "GATEWAY_HOST": HOST,
        "GATEWAY_PORT": str(http_port(number, wiring.ports)),
        "ROLLCALL_TOKEN_SECRET": wiring.token_secret,
    }


def _table(*services: Service) -> dict[str, Service]:
    return {service.name: service for service in services}


USERS, MAIL, SLACK = "user-management", "email-notification", "slack-notification"

SERVICES: dict[str, Service] = _table(
    Service(USERS, USERS, 3, _user_management, "USER_MANAGEMENT_PORT"),
    Service(MAIL, MAIL, 1, _email_notification, "EMAIL_NOTIFICATION_PORT"),
    Service(SLACK, SLACK, 1, _slack_notification, "SLACK_NOTIFICATION_PORT"),
    Service("gateway", None, 1, _gateway),
)


def http_port(number: int, ports: Mapping[str, int]) -> int:
    """Of a gateway."""
    return ports["GATEWAY_PORT"] + number - 1


def grpc_port(service: Service, number: int, ports: Mapping[str, int]) -> int | None:
    """None: the service serves no gRPC."""
    return ports[service.grpc] + number - 1 if service.grpc else None


def management_port(service: Service, number: int, first: int) -> int:
    """Each service has its own range of REPLICAS ports, in the order of the table."""
    return first + list(SERVICES).index(service.name) * REPLICAS + number - 1


def environment(service: Service, number: int, wiring: Wiring) -> Variables:
    port = management_port(service, number, wiring.ports["MANAGEMENT_PORT"])
    grpc = grpc_port(service, number, wiring.ports)
    served = {"GRPC_HOST": HOST, "GRPC_PORT": str(grpc)} if grpc else {}
    return (
        service.variables(wiring, number)
        | served
        | {
            "REPLICA_ID": service.replica(number),
            "MANAGEMENT_HOST": HOST,
            "MANAGEMENT_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }
    )
