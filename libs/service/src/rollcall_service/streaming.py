"""Calls of operators that answer with a stream, on asyncio's gRPC server.

Such a call may take hours, and whoever asked may go away. So it has a thread of its own, not one of
those that short calls wait for; there are only so many at a time, and one more is refused.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from rollcall_service.operators import refusal

Steps = Generator[Any, None, None]

Method = Callable[..., Iterator[Any]]

_END = object()


def streamed(most: int, busy: str) -> Callable[[Method], Callable[..., Any]]:
    """Of a method that yields messages, and None where it has none for a moment: it is ended
    between two steps when the client has gone, so a step takes a fraction of a second.

    most: calls at a time, in this process; another is told that it is `busy`. Whatever goes wrong
    becomes a status that says what to do.
    """
    slots = threading.Semaphore(most)

    def decorate(method: Method) -> Callable[..., Any]:
        async def call(
            self: Any, request: Any, context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            if not slots.acquire(blocking=False):
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, busy)
            thread = ThreadPoolExecutor(1, thread_name_prefix="stream")
            steps = _steps(method, self, request)
            try:
                async for message in _stepping(thread, steps):
                    yield message
            except Exception as error:  # noqa: BLE001  (everything becomes a status)
                await context.abort(*refusal(error))
            finally:
                thread.submit(_finish, steps, slots)  # behind the step in hand
                thread.shutdown(wait=False)

        return call

    return decorate


def _steps(method: Method, servicer: Any, request: Any) -> Steps:
    """Also calls the method in the thread that goes on with it."""
    yield from method(servicer, request)


async def _stepping(thread: ThreadPoolExecutor, steps: Steps) -> AsyncIterator[Any]:
    loop = asyncio.get_running_loop()
    while (message := await loop.run_in_executor(thread, next, steps, _END)) is not _END:
        if message is not None:
            yield message


def _finish(steps: Steps, slots: threading.Semaphore) -> None:
    try:
        steps.close()
    finally:
        slots.release()
