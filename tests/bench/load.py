"""The load: clients in a closed loop, each of which sends when it has the answer to its last."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bench.cpu import Spent

# Sends one request and waits for its answer: None where it is the right one, else what it was.
Send = Callable[[], Awaitable[str | None]]

_LAST_ANSWER_WITHIN = 60.0  # seconds, after the window


@dataclass(frozen=True)
class Window:
    """What was answered in `seconds`. Errors are the warm-up's too."""

    seconds: float
    latencies: list[float]  # seconds, in ascending order, of right answers
    errors: Counter[str]
    spent: Spent

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return len(self.latencies) / self.seconds


@dataclass
class _Answers:
    wanted: bool = True
    latencies: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


async def measure(
    clients: Sequence[Send], warm_up: float, seconds: float, spent: Callable[[], Spent]
) -> Window:
    """Let the clients run for both times and keep what was answered in the second."""
    answers = _Answers()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(_run(client, answers)) for client in clients]
        await asyncio.sleep(warm_up)
        before, began = spent(), time.perf_counter()
        answers.latencies.clear()
        await asyncio.sleep(seconds)
        elapsed, latencies = time.perf_counter() - began, sorted(answers.latencies)
        used = spent() - before
        answers.wanted = False
        async with asyncio.timeout(_LAST_ANSWER_WITHIN):
            await asyncio.wait(running)
    return Window(elapsed, latencies, answers.errors, used)


async def _run(send: Send, answers: _Answers) -> None:
    while answers.wanted:
        began = time.perf_counter()
        wrong = await send()
        if wrong is None:
            answers.latencies.append(time.perf_counter() - began)
        else:
            answers.errors[wrong] += 1


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent (1 to 100) of the values do not exceed."""
    return ascending[math.ceil(percent * len(ascending) / 100) - 1]
