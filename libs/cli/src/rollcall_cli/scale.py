"""rollcall scale"""

import argparse
import threading
import time
from typing import Any

from rollcall_cli import exits
from rollcall_cli.ask_replicas import platform_status
from rollcall_cli.output import Output
from rollcall_local import client
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home

_WITHIN = 60.0  # seconds
_PERIOD = 0.2  # seconds between two questions to the replicas

Replicas = list[dict[str, Any]]


def scale(home: Home, options: argparse.Namespace, output: Output) -> int:
    """Change the number of replicas and wait until they say that they share the partitions."""
    name, count = options.service, options.count
    wanted = _held(_replicas(home, name))
    client.scale(home, name, count)
    output.progress(f"waiting for {count} replicas of {name} to share the partitions")
    replicas = _wait_until_shared(home, name, count, wanted, output)
    shares = [sum(map(len, replica["partitions"].values())) for replica in replicas]
    text = f"{name} has {count} replicas, with {', '.join(map(str, shares))} partitions."
    output.result({"service": name, "replicas": replicas}, text)
    return exits.OK


def shared(replicas: Replicas, count: int, wanted: set[tuple[str, int]]) -> bool:
    """Whether `count` running replicas hold all `wanted` partitions, each once, in even shares."""
    if len(replicas) != count or any(replica["state"] != "running" for replica in replicas):
        return False
    shares = [sum(map(len, replica["partitions"].values())) for replica in replicas]
    held = _held(replicas)
    return sum(shares) == len(held) and wanted <= held and max(shares) - min(shares) <= 1


def _wait_until_shared(
    home: Home, name: str, count: int, wanted: set[tuple[str, int]], output: Output
) -> Replicas:
    deadline = time.monotonic() + _WITHIN
    before = None
    pause = threading.Event()  # never set: the replicas can only be asked
    while not shared(replicas := _replicas(home, name), count, wanted):
        if time.monotonic() > deadline:
            raise PlatformError(
                f"{name} did not share its partitions among {count} in {_WITHIN:g} s: "
                f"see `rollcall status`"
            )
        if (now := _summary(replicas)) != before:
            output.progress(f"  {now}")
            before = now
        pause.wait(_PERIOD)
    return replicas


def _replicas(home: Home, name: str) -> Replicas:
    document, _ = platform_status(home)
    return next(list(s["replicas"]) for s in document["services"] if s["name"] == name)


def _held(replicas: Replicas) -> set[tuple[str, int]]:
    return {
        (topic, partition)
        for replica in replicas
        for topic, partitions in replica["partitions"].items()
        for partition in partitions
    }


def _summary(replicas: Replicas) -> str:
    shares = (str(sum(map(len, r["partitions"].values()))) for r in replicas)
    running = sum(replica["state"] == "running" for replica in replicas)
    return f"{running} of {len(replicas)} running, holding {', '.join(shares)}"
