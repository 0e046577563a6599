"""What a replica took that came and died between two looks at the channel."""

import asyncio

import grpc
import pytest

from rollcall.users.v1.commands_pb2 import Command, CommandContext, CreateUserRequest
from rollcall_gateway.clients import open_channel
from rollcall_gateway.coalescing import Coalescer
from rollcall_gateway.failures import Failure
from rollcall_gateway.testing import Memory, new_server
from rollcall_local.ports import free_port

COMMAND = Command(create_user=CreateUserRequest(context=CommandContext(command_id="c")))


async def failed(coalescer: Coalescer) -> Failure:
    with pytest.raises(Failure) as raised:
        await coalescer.execute(COMMAND, 5)
    return raised.value


def test_where_a_replica_came_and_died_it_is_in_doubt() -> None:
    async def run() -> Failure:
        port = free_port()
        memory = Memory()
        memory.pause = asyncio.Event()
        replica = new_server(memory)
        async with asyncio.timeout(20), open_channel(f"ipv4:127.0.0.1:{port}") as channel:
            coalescer = Coalescer(channel)
            assert not (await failed(coalescer)).in_doubt  # nobody is there
            failing = asyncio.create_task(failed(coalescer))
            replica.add_insecure_port(f"127.0.0.1:{port}")
            await replica.start()
            assert await asyncio.to_thread(memory.entered.wait, 10)
            await replica.stop(None)
            failure = await failing
            assert channel.get_state() is not grpc.ChannelConnectivity.READY
            await coalescer.close()
            return failure

    failure = asyncio.run(run())
    assert failure.code is grpc.StatusCode.UNAVAILABLE
    assert failure.in_doubt
