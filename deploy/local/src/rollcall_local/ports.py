"""TCP ports of 127.0.0.1: which variable sets each, and whether one is free."""

import socket
from collections.abc import Mapping

from rollcall_local.errors import PlatformError

HOST = "127.0.0.1"
REPLICAS = 16  # the most replicas of one service; each has consecutive ports of its own

# variable → default, all below the ports that Linux gives to outgoing connections (32768).
# Those in RANGES are the first of so many consecutive ones.
DEFAULTS: dict[str, int] = {
    "GATEWAY_PORT": 8080,
    "SMTP_PORT": 1025,
    "MAILBOX_PORT": 8025,
    "SLACK_PORT": 8026,
    "KAFKA_PORT": 9092,
    "KAFKA_CONTROLLER_PORT": 9093,
    "POSTGRES_PORT": 5432,
    "USER_MANAGEMENT_PORT": 7051,
    "EMAIL_NOTIFICATION_PORT": 7067,
    "SLACK_NOTIFICATION_PORT": 7083,
    "MANAGEMENT_PORT": 7100,
}

RANGES = {
    "GATEWAY_PORT": REPLICAS,
    "USER_MANAGEMENT_PORT": REPLICAS,
    "EMAIL_NOTIFICATION_PORT": REPLICAS,
    "SLACK_NOTIFICATION_PORT": REPLICAS,
    "MANAGEMENT_PORT": 4 * REPLICAS,
}


def from_env(variables: Mapping[str, str]) -> dict[str, int]:
    """Every port by its variable. Raises PlatformError when one is not a port."""
    return {
        name: _port(name, variables.get(name) or str(default)) for name, default in DEFAULTS.items()
    }


def _port(name: str, value: str) -> int:
    last = 65536 - RANGES.get(name, 1)
    if not value.isdecimal() or not 1 <= int(value) <= last:
        raise PlatformError(f"{name} must be a port from 1 to {last}, not {value!r}")
    return int(value)


def free_port() -> int:
    """A port that nothing listens on now. Another process may take it before it is used."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    with socket.socket() as listener:
        # A closed server's connections in TIME_WAIT do not make its port taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True


def is_listening(port: int, host: str = HOST) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
