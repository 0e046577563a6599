"""What happens while the platform starts and ends, for everybody who follows it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any


class News:
    """A list of lines that only grows, by a few dozen in a platform's life; and its end."""

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []
        self._changed = asyncio.Event()
        self._ended = False

    def say(self, text: str) -> None:
        self.tell({"say": text})

    def tell(self, line: dict[str, Any], *, end: bool = False) -> None:
        self._lines.append(line)
        self._ended = end
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """Every line from the first on, and new ones as they come, until the end."""
        position = 0
        while True:
            while position < len(self._lines):
                yield self._lines[position]
                position += 1
            if self._ended:
                return
            await self._changed.wait()
