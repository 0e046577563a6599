"""The composition root: settings → the components of a running gateway."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from rollcall_gateway.app import ROUTES, build_app
from rollcall_gateway.auth import Authenticator
from rollcall_gateway.clients import open_channel
from rollcall_gateway.gateway import Gateway
from rollcall_gateway.openapi import document
from rollcall_gateway.server import HttpServer, Served, listen
from rollcall_gateway.settings import Settings
from rollcall_service.lifecycle import Component
from rollcall_service.logs import configure_logging
from rollcall_service.management import ManagementServer
from rollcall_service.tracing import Tracing


def build(variables: Mapping[str, str]) -> Sequence[Component]:
    settings = Settings.from_env(variables)
    configure_logging("gateway", settings.replica_id, settings.log_level)
    tracing = Tracing("gateway", settings.replica_id)
    server = http_server(settings)
    management = ManagementServer(
        settings.management_host,
        settings.management_port,
        healthy=server.healthy,
        ready=server.ready,
        status=lambda: status(settings.replica_id),
    )
    return [tracing, server, management]


def http_server(settings: Settings) -> HttpServer:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Served]:
        async with open_channel(settings.user_management_target) as channel:
            gateway = Gateway(channel, settings.token_secret, msgspec.json.encode(document(ROUTES)))
            authenticator = Authenticator(settings.token_secret)
            app = build_app(gateway, authenticator, settings.max_in_flight)
            try:
                yield Served(app, gateway.readiness)
            finally:
                await gateway.close()

    return HttpServer(listen(settings.host, settings.port), opened)


def status(replica_id: str) -> dict[str, Any]:
    """A gateway is in no consumer group: it holds no partitions and lags behind nothing."""
    return {
        "id": replica_id,
        "service": "gateway",
        "group": None,
        "pid": os.getpid(),
        "state": "running",
        "partitions": {},
        "lag_records": 0,
        "lag_seconds": 0.0,
    }
