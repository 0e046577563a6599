"""Many clients create a user with the same e-mail at once: one gets it."""

import asyncio
from collections import Counter

from races.client import Api
from races.report import Progress, Result, new_email

_CLIENTS = 64


async def run(api: Api, rounds: int, progress: Progress) -> Result:
    right = Counter({"201": 1, "409 email-taken": _CLIENTS - 1})
    counts: Counter[str] = Counter()
    violations = []
    async with api.clients(_CLIENTS) as clients:
        for number in range(rounds):
            body = {"email": new_email("same"), "name": "Same"}
            answers = await asyncio.gather(*(c.post("/v1/users", body) for c in clients))
            found = Counter(answer.summary for answer in answers)
            if found != right:
                violations.append(f"round {number}, {body['email']}: {dict(found)}")
            counts += found
            progress.done(number + 1, rounds)
    told = ", ".join(f"{n} x {summary}" for summary, n in sorted(counts.items()))
    rate = counts.total() / progress.seconds
    figures = f"{rounds} rounds of {_CLIENTS} clients: {told}; {rate:.0f} requests/s"
    return Result("same e-mail", figures, violations)
