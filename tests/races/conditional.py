"""Many clients patch one user with If-Match: each version has one winner, and none is left out."""

import asyncio
from collections import Counter
from collections.abc import Iterator

from races.client import Answer, Api
from races.history import Operation
from races.linearizability import violations
from races.recording import Recorder
from races.report import Progress, Result, percentile

_CLIENTS = 32


async def run(api: Api, versions: int, progress: Progress) -> Result:
    """Until the user has at least so many versions."""
    history: list[Operation] = []
    answers: list[Answer] = []
    async with api.clients(_CLIENTS) as clients:
        recorders = [Recorder(f"client {n}", c, history) for n, c in enumerate(clients)]
        created = await recorders[0].create()
        user = created.document["id"]
        racers = (_race(r, user, versions, answers, progress) for r in recorders)
        await asyncio.gather(*racers)
        seconds = progress.seconds
        won = [answer for answer in answers if answer.status == 200]
        newest = max([created, *won], key=_version)
        recorders[0].known[user] = newest
        read = await recorders[0].get(user)
    found = [str(v) for v in violations(history)] + list(_wrong(answers))
    if [a.version for a in sorted(won, key=_version)] != list(range(2, len(won) + 2)):
        found.append(f"the versions told are not 2 to {len(won) + 1}")
    if read.document != newest.document:
        found.append(f"the read shows {read.document}, and the last patch {newest.document}")
    times = [(answer.responded - answer.invoked) * 1000 for answer in answers]
    counts = Counter(answer.summary for answer in answers)
    told = ", ".join(f"{n} x {summary}" for summary, n in sorted(counts.items()))
    figures = (
        f"{_CLIENTS} clients, versions 1 to {newest.version}: {told}; "
        f"{len(won) / seconds:.0f} versions/s, "
        f"{len(answers) / seconds:.0f} requests/s, p50 {percentile(times, 50):.0f} ms, "
        f"longest {max(times):.0f} ms"
    )
    return Result("If-Match", figures, found)


async def _race(
    recorder: Recorder, user: str, versions: int, answers: list[Answer], progress: Progress
) -> None:
    """It stops at the first answer that tells no version."""
    version: int | None = 1
    while version is not None and version < versions:
        answer = await recorder.patch(user, recorder.value(), if_match=version)
        answers.append(answer)
        version = answer.version
        progress.done(version or 0, versions, "versions")


def _wrong(answers: list[Answer]) -> Iterator[str]:
    """What is neither a success nor the refusal of a loser."""
    right = ("200", "412 version-mismatch")
    for answer in answers:
        if answer.summary not in right:
            yield f"{answer.summary} after {answer.responded - answer.invoked:.1f} s"


def _version(answer: Answer) -> int:
    return answer.version or 0
