"""The processes of a platform, started and ended together."""

import asyncio
from collections.abc import Callable

from rollcall_local import logs
from rollcall_local.child import Child, Part
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home
from rollcall_local.process import tail

_READY_WITHIN = 60.0  # seconds for each part, from when it is waited for
_REMINDER = 5.0  # seconds of waiting before it is said for what
_LOGS_EVERY = 30.0  # seconds between two looks at the size of the logs


class Fleet:
    """died: called with the name and the reason when a vital part has ended by itself."""

    def __init__(self, home: Home, say: Callable[[str], None], died: Callable[[str, str], None]):
        self.home = home
        self.say = say
        self.children: dict[str, Child] = {}
        self._died = died

    def start(self, *parts: Part) -> None:
        for part in parts:
            self.children[part.name] = Child(
                part, self.home, lambda child: self._died(child.part.name, child.why)
            )

    async def until_ready(self, *names: str) -> None:
        """Wait for all of them. Raises PlatformError for the first that will not be."""
        waiting = {
            asyncio.create_task(self.children[name].until_ready(), name=name) for name in names
        }
        waited = 0.0
        try:
            while waiting:
                done, waiting = await asyncio.wait(
                    waiting, timeout=_REMINDER, return_when=asyncio.FIRST_EXCEPTION
                )
                self._require_ready(done)
                waited += _REMINDER
                self._remind(sorted(task.get_name() for task in waiting), waited)
        finally:
            for task in waiting:
                task.cancel()

    async def end(self, *names: str) -> None:
        """End these parts at the same time, and forget them."""
        ending = [self.children[name] for name in names if name in self.children]
        await asyncio.gather(*(child.stop() for child in ending))
        for child in ending:
            self.children.pop(child.part.name, None)

    async def bound_logs(self) -> None:
        """Keep every log within its bound, for ever."""
        while True:
            await asyncio.sleep(_LOGS_EVERY)
            for path in self.home.logs.glob("*.log"):
                logs.bound(path)

    def _require_ready(self, done: set[asyncio.Task[bool]]) -> None:
        for task in done:
            if not task.result():
                name = task.get_name()
                why = self.children[name].why
                raise PlatformError(self._story(f"{name} ended again and again ({why})", name))

    def _remind(self, late: list[str], waited: float) -> None:
        if late and waited >= _READY_WITHIN:
            headline = f"{late[0]} was not ready in {_READY_WITHIN:g} s"
            raise PlatformError(self._story(headline, late[0]))
        if late:
            self.say(f"still waiting for {', '.join(late)} ({waited:g} s)")

    def _story(self, headline: str, name: str) -> str:
        return "\n".join([f"{headline}; the end of {name}.log:", *tail(self.home.log(name))])
