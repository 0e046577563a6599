"""Calls that answer with a stream: how many at a time, and what becomes of one nobody reads."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc.aio
import pytest

from rollcall.projections.v1 import projections_pb2 as pb
from rollcall.projections.v1 import projections_pb2_grpc as pb_grpc
from rollcall_events import TopicUnavailable
from rollcall_service.streaming import streamed

Verify = Callable[[pb.VerifyRequest], Any]


class Steps:
    """A method that goes on for ever, but not in long steps. ended: it was closed."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def __call__(self, _: Any, request: pb.VerifyRequest) -> Iterator[pb.VerifyProgress | None]:
        try:
            yield pb.VerifyProgress(records=1)
            while True:
                self.ended.wait(0.01)
                yield None
        finally:
            self.ended.set()


def served(method: Callable[..., Any], client: Callable[[Verify], Awaitable[None]]) -> None:
    """Run a client of a server whose Verify is the method, one at a time."""

    async def run() -> None:
        methods = {"Verify": streamed(1, "one runs already")(method)}
        server = grpc.aio.server()
        servicer = type("Servicer", (pb_grpc.ProjectionServiceServicer,), methods)
        pb_grpc.add_ProjectionServiceServicer_to_server(servicer(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await client(pb_grpc.ProjectionServiceStub(channel).Verify)
        await server.stop(0)

    asyncio.run(asyncio.wait_for(run(), 20))


def test_messages_come_in_order_and_what_is_none_is_not_sent() -> None:
    def method(_: Any, request: pb.VerifyRequest) -> Iterator[pb.VerifyProgress | None]:
        for n in range(3):
            yield pb.VerifyProgress(compared=n)
            yield None

    async def client(verify: Verify) -> None:
        assert [m.compared async for m in verify(pb.VerifyRequest())] == [0, 1, 2]

    served(method, client)


def test_a_second_one_is_refused_until_the_first_has_ended() -> None:
    steps = Steps()

    async def client(verify: Verify) -> None:
        first = verify(pb.VerifyRequest())
        assert (await first.read()).records == 1
        second = verify(pb.VerifyRequest())
        with pytest.raises(grpc.aio.AioRpcError, match="one runs already") as refused:
            await second.read()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        assert await asyncio.to_thread(steps.ended.wait, 5)
        while True:  # its place is free as soon as it has ended
            try:
                assert (await verify(pb.VerifyRequest()).read()).records == 1
                return
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.01)

    served(steps, client)


def test_what_goes_wrong_becomes_a_status() -> None:
    def method(_: Any, request: pb.VerifyRequest) -> Iterator[pb.VerifyProgress]:
        yield pb.VerifyProgress()
        raise TopicUnavailable("topic users: no broker")

    async def client(verify: Verify) -> None:
        call = verify(pb.VerifyRequest())
        await call.read()
        with pytest.raises(grpc.aio.AioRpcError, match="topic users: no broker") as told:
            await call.read()
        assert told.value.code() is grpc.StatusCode.UNAVAILABLE

    served(method, client)
