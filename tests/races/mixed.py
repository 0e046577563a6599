"""Clients do at random what can be done with a few users; the history must be linearizable."""

import asyncio
import random
from collections import Counter

from races.client import Answer, Api
from races.history import Operation
from races.linearizability import violations
from races.recording import Recorder
from races.report import Progress, Result

_CLIENTS = 24
_USERS = 8  # at a time
_WEIGHTS = {"patch": 6, "patch with If-Match": 5, "patch nothing": 1, "get": 7, "delete": 0.3}
_EXPECTED = {"200", "201", "204", "412 version-mismatch", "404 user-not-found"}


async def run(api: Api, operations: int, progress: Progress, seed: str) -> Result:
    race = _Mixed(random.Random(seed), operations, progress)
    async with api.clients(_CLIENTS) as clients:
        recorders = [Recorder(f"client {n}", c, race.history) for n, c in enumerate(clients)]
        created = [await race.create(recorders[0]) for _ in range(_USERS)]
        race.users = [user for user in created if user is not None]
        await asyncio.gather(*(race.run(recorder) for recorder in recorders))
    seconds = progress.seconds
    broken = [str(v) for v in violations(race.history)]
    unexpected = [f"{n} x {s}" for s, n in race.counts.items() if s not in _EXPECTED]
    told = ", ".join(f"{n} x {summary}" for summary, n in sorted(race.counts.items()))
    users = len({o.user for o in race.history})
    figures = (
        f"{len(race.history)} operations of {_CLIENTS} clients on {users} users, "
        f"{'NOT ' if broken else ''}linearizable: {told}; "
        f"{len(race.history) / seconds:.0f} requests/s"
    )
    return Result("mixed", figures, broken + unexpected)


class _Mixed:
    def __init__(self, rng: random.Random, operations: int, progress: Progress):
        self.history: list[Operation] = []
        self.counts: Counter[str] = Counter()
        self.users: list[str] = []
        self._rng = rng
        self._operations = operations
        self._progress = progress

    async def run(self, recorder: Recorder) -> None:
        while len(self.history) < self._operations:
            place = self._rng.randrange(len(self.users))
            user = self.users[place]
            answer = await self._anything(recorder, user)
            self.counts[answer.summary] += 1
            if answer.status in (204, 404) and self.users[place] == user:
                self.users[place] = await self.create(recorder) or user
            self._progress.done(len(self.history), self._operations, "operations")

    async def create(self, recorder: Recorder) -> str | None:
        answer = await recorder.create()
        self.counts[answer.summary] += 1
        return str(answer.document["id"]) if answer.status == 201 else None

    async def _anything(self, recorder: Recorder, user: str) -> Answer:
        known = recorder.known.get(user)
        (what,) = self._rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        match what:
            case "patch with If-Match":
                version = known.version if known else 1
                return await recorder.patch(user, recorder.value(), if_match=version)
            case "patch nothing":
                return await recorder.patch(user, None)
            case "delete":
                return await recorder.delete(user)
            case "get" if known:
                return await recorder.get(user)
        return await recorder.patch(user, recorder.value())
