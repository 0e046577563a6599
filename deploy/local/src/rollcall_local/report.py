"""What the supervisor knows of the platform, for `status`."""

import os
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rollcall_local import postgres
from rollcall_local.child import Child
from rollcall_local.ports import HOST
from rollcall_local.services import SERVICES, Service, grpc_port
from rollcall_local.supervisor import Supervisor


def report(supervisor: Supervisor) -> dict[str, Any]:
    """Replicas come with the addresses of their ports: they report the rest themselves."""
    settings, broker = supervisor.settings, supervisor.broker
    servers = settings.bootstrap_servers or f"{HOST}:{settings.ports['KAFKA_PORT']}"
    return {
        "state": supervisor.state,
        "pid": os.getpid(),
        "gateway": f"http://{HOST}:{settings.ports['GATEWAY_PORT']}",
        "broker": {"kind": broker.kind if broker else None, "bootstrap_servers": servers},
        "postgres": {"url": _postgres_url(supervisor)},
        "notice": broker.notice if broker else None,
        "services": [_service(supervisor, service) for service in SERVICES.values()],
        "parts": _parts(supervisor),
    }


def _service(supervisor: Supervisor, service: Service) -> dict[str, Any]:
    numbers = range(1, supervisor.counts[service.name] + 1)
    children = supervisor.fleet.children
    found = [(n, children[service.replica(n)]) for n in numbers if service.replica(n) in children]
    replicas = [
        {
            "id": child.part.name,
            "pid": child.pid,
            "state": child.state,
            "management": child.part.address,
            "grpc": _grpc(supervisor, service, number),
        }
        for number, child in found
    ]
    return {"name": service.name, "group": service.group, "replicas": replicas}


def _grpc(supervisor: Supervisor, service: Service, number: int) -> str | None:
    port = grpc_port(service, number, supervisor.settings.ports)
    return f"{HOST}:{port}" if port else None


def _parts(supervisor: Supervisor) -> list[dict[str, Any]]:
    settings, children = supervisor.settings, supervisor.fleet.children
    services = {
        service.replica(n)
        for service in SERVICES.values()
        for n in range(1, supervisor.counts[service.name] + 1)
    }
    own = [_part(child) for name, child in children.items() if name not in services]
    elsewhere = {
        "postgres": _postgres_url(supervisor) if settings.database_url else None,
        "kafka": settings.bootstrap_servers,
        "smtp": _without_user(settings.smtp_url) if settings.smtp_url else None,
        "slack": "Slack" if settings.slack_bot_token else None,
    }
    return own + [
        {"name": name, "pid": None, "state": "external", "address": address}
        for name, address in elsewhere.items()
        if address
    ]


def _part(child: Child) -> dict[str, Any]:
    name, address = child.part.name, child.part.address
    return {"name": name, "pid": child.pid, "state": child.state, "address": address}


def _postgres_url(supervisor: Supervisor) -> str:
    settings, broker = supervisor.settings, supervisor.broker
    if settings.database_url:
        return _without_user(settings.database_url)
    database = broker.database if broker else postgres.DATABASE
    return f"postgresql://{HOST}:{settings.ports['POSTGRES_PORT']}/{database}"


def _without_user(url: str) -> str:
    """The address alone: the name, the password and the options stay out of what is shown."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
