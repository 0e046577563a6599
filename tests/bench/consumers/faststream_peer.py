"""A process that reads the log with FastStream's confluent subscriber and parses it.

One message at a time, as its subscriber works by default, with the same parsing as raw.py. Prints
the seconds from the first record to the last.
"""

import asyncio
import sys
import time

from bench.consumers.raw import WITHIN, parse
from faststream import AckPolicy
from faststream.confluent import KafkaBroker, KafkaMessage


async def main(servers: str, group: str, wanted: int) -> None:
    broker = KafkaBroker(servers, logger=None)
    done = asyncio.Event()
    began, count = 0.0, 0

    async def decode(message: KafkaMessage) -> object:
        raw = message.raw_message
        assert not isinstance(raw, tuple)
        return parse(raw.headers(), raw.value())

    @broker.subscriber(
        "users",
        group_id=group,
        auto_offset_reset="earliest",
        decoder=decode,
        ack_policy=AckPolicy.ACK_FIRST,
    )
    async def handle(message: object) -> None:
        nonlocal began, count
        began = began or time.perf_counter()
        count += 1
        if count == wanted:
            done.set()

    async with broker:
        await broker.start()
        async with asyncio.timeout(WITHIN):
            await done.wait()
        print(time.perf_counter() - began)  # noqa: T201  (the answer)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
