"""What is measured: how each case opens its clients. Every client creates users, one by one."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import grpc.aio
from bench import people
from bench.http_client import HttpClient
from bench.load import Send
from confluent_kafka import KafkaError, Message, Producer

from rollcall.users.v1.commands_pb2_grpc import UserCommandServiceStub
from rollcall_events import KafkaSettings
from rollcall_events.ids import uuid7
from rollcall_gateway.clients import open_channel

_RPC_WITHIN = 10.0  # seconds, the gateway's own deadline


@dataclass(frozen=True)
class Case:
    """clients: so many of them, connected."""

    name: str
    clients: Callable[[int], AbstractAsyncContextManager[list[Send]]]


def http(name: str, path: str, port: int, *headers: str) -> Case:
    """`POST path` over HTTP, a connection for each client. The right answer is 201."""
    before, after = people.post(path, port, *headers)

    def request() -> bytes:
        return before + people.fresh_email().encode() + after

    @asynccontextmanager
    async def clients(count: int) -> AsyncIterator[list[Send]]:
        opened = [HttpClient(port, request, wanted=201) for _ in range(count)]
        try:
            for client in opened:
                await client.connect()
            yield [client.post for client in opened]
        finally:
            for client in opened:
                client.close()

    return Case(name, clients)


def rpc(name: str, target: str) -> Case:
    """CreateUser over gRPC, all clients on one channel opened as the gateway opens its own."""

    @asynccontextmanager
    async def clients(count: int) -> AsyncIterator[list[Send]]:
        async with open_channel(target) as channel:
            stub = UserCommandServiceStub(channel)

            async def create() -> str | None:
                try:
                    await stub.CreateUser(people.command(), timeout=_RPC_WITHIN)
                except grpc.aio.AioRpcError as error:
                    return f"{error.code().name} {error.details()}"
                return None

            yield [create] * count

    return Case(name, clients)


def append(name: str, settings: KafkaSettings, topic: str) -> Case:
    """Records of a UserCreatedEvent's size by the client library alone, each acknowledged."""
    template = people.record(topic)
    headers: list[tuple[str, str | bytes | None]] = [*template.headers]

    @asynccontextmanager
    async def clients(count: int) -> AsyncIterator[list[Send]]:
        loop = asyncio.get_running_loop()
        producer = Producer(settings.producer())
        stopping = threading.Event()

        def poll() -> None:
            while not stopping.is_set():
                producer.poll(0.1)

        async def produce() -> str | None:
            answer: asyncio.Future[str | None] = loop.create_future()

            def delivered(error: KafkaError | None, _: Message) -> None:
                loop.call_soon_threadsafe(answer.set_result, error.name() if error else None)

            key = uuid7().encode()
            producer.produce(
                topic, key=key, value=template.value, headers=headers, on_delivery=delivered
            )
            return await answer

        thread = threading.Thread(target=poll, name="poll", daemon=True)
        thread.start()
        try:
            yield [produce] * count
        finally:
            stopping.set()
            await asyncio.to_thread(thread.join)

    return Case(name, clients)
