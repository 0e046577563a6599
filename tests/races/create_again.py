"""One client creates a user, deletes it and creates one again, always with the same e-mail."""

from races.client import Answer, Api, Client
from races.report import Progress, Result, new_email


async def run(api: Api, rounds: int, progress: Progress) -> Result:
    """The second user of a round is deleted too, so that the next round may have the e-mail."""
    body = {"email": new_email("again"), "name": "Again"}
    ids: set[str] = set()
    violations = []
    async with api.clients(1) as (client,):
        for number in range(rounds):
            answers = [*await _create_and_delete(client, body)]
            answers += await _create_and_delete(client, body)
            summaries = [answer.summary for answer in answers]
            created = {a.document["id"] for a in answers if a.status == 201}
            if summaries != ["201", "204", "201", "204"]:
                violations.append(f"round {number}: {', '.join(summaries)}")
                break  # somebody may have the e-mail for good
            if len(created - ids) != 2:
                violations.append(f"round {number}: an id was given twice: {created}")
            ids |= created
            progress.done(number + 1, rounds)
    rate = len(ids) * 2 / progress.seconds
    figures = f"{rounds} rounds of 201, 204, 201 with one e-mail; {rate:.0f} requests/s"
    return Result("create again", figures, violations)


async def _create_and_delete(client: Client, body: dict[str, str]) -> list[Answer]:
    created = await client.post("/v1/users", body)
    if created.status != 201:
        return [created]
    return [created, await client.request("DELETE", f"/v1/users/{created.document['id']}")]
