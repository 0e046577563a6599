"""A platform whose services are found by their names, as in Docker Compose and Kubernetes.

For a command that runs in the same network: ROLLCALL_DISCOVERY=dns.
"""

import socket
from collections.abc import Mapping
from typing import Any

from rollcall_local.services import SERVICES, Service

# Where every image serves.
_GATEWAY, _GRPC, _MANAGEMENT = 8080, 50051, 8081


def is_asked_for(variables: Mapping[str, str]) -> bool:
    return variables.get("ROLLCALL_DISCOVERY") == "dns"


def status(variables: Mapping[str, str]) -> dict[str, Any] | None:
    """As report.py gives it; None where no service has an address.

    Kafka's address is KAFKA_BOOTSTRAP_SERVERS; what else the services use is only theirs to know.
    """
    services = [_service(service) for service in SERVICES.values()]
    if not any(service["replicas"] for service in services):
        return None
    servers = variables.get("KAFKA_BOOTSTRAP_SERVERS", "")
    return {
        "state": "running",
        "pid": None,
        "gateway": f"http://gateway:{_GATEWAY}",
        "broker": {"kind": "kafka", "bootstrap_servers": servers},
        "postgres": {"url": None},
        "notice": None,
        "services": services,
        "parts": [],
    }


def _service(service: Service) -> dict[str, Any]:
    replicas = [
        {
            "id": f"{service.name}@{address}",
            "pid": None,
            "state": "running",
            "management": f"http://{address}:{_MANAGEMENT}",
            "grpc": f"{address}:{_GRPC}" if service.grpc else None,
        }
        for address in _addresses(service.name)
    ]
    return {"name": service.name, "group": service.group, "replicas": replicas}


def _addresses(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, _MANAGEMENT, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(address[0]) for *_, address in found})
