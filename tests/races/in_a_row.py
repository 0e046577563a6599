"""One client patches one user again and again, without If-Match."""

from races.client import Api
from races.recording import Recorder
from races.report import Progress, Result, percentile


async def run(api: Api, patches: int, progress: Progress) -> Result:
    async with api.clients(1) as (client,):
        recorder = Recorder("client", client, [])
        created = await recorder.create()
        user = created.document["id"]
        answers = []
        for number in range(patches):
            answers.append(await recorder.patch(user, f"Name {number}"))
            progress.done(number + 1, patches, "patches")
    summaries = [f"{answer.summary} version {answer.version}" for answer in answers]
    right = [f"200 version {version}" for version in range(2, patches + 2)]
    wrong = [f"{was}, not {be}" for was, be in zip(summaries, right, strict=True) if was != be]
    times = [(answer.responded - answer.invoked) * 1000 for answer in answers]
    figures = (
        f"{patches - len(wrong)} x 200 of {patches}; {patches / sum(times) * 1000:.0f} patches/s, "
        f"p50 {percentile(times, 50):.1f} ms, p99 {percentile(times, 99):.1f} ms"
    )
    return Result("in a row", figures, wrong)
