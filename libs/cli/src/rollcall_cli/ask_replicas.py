"""What the platform is doing: the supervisor says what runs, each replica what it holds."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx

from rollcall_local import client
from rollcall_local.home import Home

_TIMEOUT = 2.0  # seconds for a replica to answer


def platform_status(home: Home) -> tuple[dict[str, Any], list[str]]:
    """The document of `rollcall status --json`, and what nobody must overlook.

    Raises NotRunning.
    """
    known = client.status(home)
    reports = asyncio.run(_reports(known["services"]))
    services = [
        {
            "name": service["name"],
            "group": service["group"],
            "replicas": [_replica(r, reports[r["id"]]) for r in service["replicas"]],
        }
        for service in known["services"]
    ]
    document = {
        "broker": known["broker"],
        "postgres": known["postgres"],
        "services": services,
        "parts": known["parts"],
    }
    notices = [*_parked(known["services"], reports), *_filling(reports), known["notice"]]
    return document, [notice for notice in notices if notice]


def _parked(
    services: list[dict[str, Any]], reports: dict[str, dict[str, Any]]
) -> Iterator[str | None]:
    """A line for each group that holds something: its replicas all say the same."""
    for service in services:
        said = [reports[r["id"]].get("parked") or {} for r in service["replicas"]]
        sequences = max((counts.get("sequences", 0) for counts in said), default=0)
        if sequences:
            yield f"{service['name']} holds events of {sequences} users or roles: rollcall parked"


def _filling(reports: dict[str, dict[str, Any]]) -> Iterator[str | None]:
    """A line for each generation of the read store that is being filled, or is not."""
    found: dict[str, str] = {}
    for said in reports.values():
        for number, state in (said.get("filling") or {}).items():
            if number not in found or state.startswith("stopped"):
                found[number] = state
    for number, state in sorted(found.items()):
        stopped = state.startswith("stopped")
        how = f"not filled any more: {state}" if stopped else "being filled: rollcall rebuild list"
        yield f"generation {number} of the read store is {how}"


async def _reports(services: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What each replica says of itself, by its id; nothing from one that does not answer."""
    replicas = [replica for service in services for replica in service["replicas"]]
    async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as http:
        answers = await asyncio.gather(*(_report(http, r["management"]) for r in replicas))
    return {r["id"]: answer for r, answer in zip(replicas, answers, strict=True)}


async def _report(http: httpx.AsyncClient, management: str) -> dict[str, Any]:
    try:
        answer = await http.get(f"{management}/status")
        return dict(answer.raise_for_status().json())
    except (httpx.HTTPError, ValueError):
        return {}


def _replica(known: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """The replica's own words; of one that is silent, what the supervisor sees."""
    silent = "not answering" if known["state"] == "running" else known["state"]
    return {
        "id": known["id"],
        "pid": known["pid"],
        "state": said.get("state", silent),
        "partitions": said.get("partitions", {}),
        "lag_records": said.get("lag_records"),
        "lag_seconds": said.get("lag_seconds"),
    }
