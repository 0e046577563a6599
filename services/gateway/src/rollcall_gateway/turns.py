"""Attempts of one command that come to this gateway go one after the other.

A client that got no answer repeats its request, while the one before may still be on its way. Were
both decided, one could be refused, and the other be done later and unheard of.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Turns:
    """Made and used on one event loop."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, command_id: str, seconds: float) -> AsyncIterator[bool]:
        """Yields whether those that came before have ended in time."""
        lock = self._locks.setdefault(command_id, asyncio.Lock())
        try:
            async with asyncio.timeout(seconds):
                await lock.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
