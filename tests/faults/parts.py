"""Parts of a platform as processes that may be killed one by one, and are started again at once.

Each has the environment that the local platform gives it, and the log and data that it would have.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException

from faults.processes import Kept

from rollcall_local import kafka, postgres
from rollcall_local.home import Home
from rollcall_local.ports import HOST, is_listening
from rollcall_local.process import Command
from rollcall_local.services import SERVICES, Wiring, environment

_PROBE = 2.0  # seconds
_GATEWAY = SERVICES["gateway"]


def kept(stack: ExitStack, process: Kept) -> Kept:
    """The process, which is stopped with the stack."""
    stack.callback(process.stop)
    return process


def kafka_of(home: Home, ports: Mapping[str, int], cluster_id: str) -> Kept:
    """Raises Unavailable where Kafka cannot be had."""
    port = ports["KAFKA_PORT"]
    installation = kafka.install(os.environ, say=lambda _: None)
    data = home.data / "kafka"
    configuration = kafka.configure(data, port, ports["KAFKA_CONTROLLER_PORT"])
    kafka.format_storage(installation, configuration, cluster_id)
    command = kafka.command(installation, configuration)
    return Kept(command, home.log("kafka"), lambda _: is_listening(port))


def postgres_of(home: Home, server: postgres.Server) -> Kept:
    data = home.data / "postgres"
    postgres.initialise(data, server.passwords[postgres.SUPERUSER])
    command = postgres.command(data, server.port)
    return Kept(command, home.log("postgres"), lambda pid: postgres.is_ready(data, pid))


def gateway_of(home: Home, wiring: Wiring) -> Kept:
    command = Command(_GATEWAY.command(), env=environment(_GATEWAY, 1, wiring))
    port = wiring.ports["GATEWAY_PORT"]
    return Kept(command, home.log("gateway"), lambda _: answers(port, "/readyz"))


def answers(port: int, path: str) -> bool:
    """Whether it says 200 there."""
    with closing(HTTPConnection(HOST, port, timeout=_PROBE)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
