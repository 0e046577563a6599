"""Readiness: user-management answers and says that it serves, and the gateway does not stop."""

import asyncio
import time
from collections.abc import Callable

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

CHECK_DEADLINE = 1.0
CACHED_SECONDS = 1.0


class Readiness:
    """Asks grpc.health.v1 for "", at most once a second however many ask."""

    def __init__(self, channel: grpc.aio.Channel, clock: Callable[[], float] = time.monotonic):
        self._health = HealthStub(channel)
        self._clock = clock
        self._asking = asyncio.Lock()
        self._known_at = -CACHED_SECONDS
        self._ready = False
        self._leaving = False

    def leave(self) -> None:
        """Not ready from now on."""
        self._leaving = True

    async def ready(self) -> bool:
        if self._leaving:
            return False
        async with self._asking:
            if self._clock() - self._known_at >= CACHED_SECONDS:
                self._ready = await self._ask()
                self._known_at = self._clock()
        return self._ready

    async def _ask(self) -> bool:
        try:
            answer = await self._health.Check(HealthCheckRequest(), timeout=CHECK_DEADLINE)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == HealthCheckResponse.SERVING)
