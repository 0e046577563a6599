"""make races: every race at full length on one platform; exits 1 if anything was as it must not."""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.local_platform import Platform
from races import conditional, create_again, in_a_row, mixed, one_key, same_email
from races.client import Api
from races.report import Progress, Result

from rollcall_local.ports import HOST

_REPLICAS = 3


@dataclass(frozen=True)
class Target:
    api: Api
    kafka: str  # bootstrap servers
    replicas: Sequence[str]  # of user-management


Race = Callable[[Target, int, str], Awaitable[Result]]

# Which race, by its letter; `rounds` is its own measure.
RACES: Mapping[str, Race] = {
    "a": lambda t, rounds, _: same_email.run(t.api, rounds, Progress("same e-mail")),
    "b": lambda t, rounds, _: create_again.run(t.api, rounds, Progress("create again")),
    "c": lambda t, rounds, _: conditional.run(t.api, rounds // 2, Progress("If-Match")),
    "d": lambda t, rounds, _: in_a_row.run(t.api, rounds // 2, Progress("in a row")),
    "e": lambda t, rounds, _: one_key.run(
        t.api, t.replicas, t.kafka, rounds // 10, Progress("one key")
    ),
    "f": lambda t, rounds, seed: mixed.run(t.api, rounds * 10, Progress("mixed"), seed),
}


def main() -> int:
    options = _options()
    seed = options.seed or f"{random.randrange(2**32)}"
    _say(f"seed {seed}")
    try:
        with _given(options) if options.url else _started() as target:
            results = list(asyncio.run(_run(target, options.only, options.rounds, seed)))
    except Unusable as error:
        _say(f"races: {error}")
        return 3
    broken = [result for result in results if result.violations]
    _say(f"{len(broken)} of {len(results)} races were VIOLATED" if broken else "All as it must be.")
    return 1 if broken else 0


class Unusable(Exception):
    """There is no platform to run on."""


async def _run(target: Target, only: Sequence[str], rounds: int, seed: str) -> list[Result]:
    results = []
    for letter in only:
        results.append(await RACES[letter](target, rounds, f"{seed}{letter}"))
        _say(str(results[-1]))
    return results


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="races", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1_000, help="of races a and b; default 1000")
    parser.add_argument("--only", type=_letters, default=list(RACES), help="such as a,c")
    parser.add_argument("--seed", help="of what clients do at random; printed")
    parser.add_argument("--url", help="of the gateway of a running platform; else one is started")
    parser.add_argument("--token", help="a bearer token of the running platform")
    parser.add_argument("--kafka", help="its bootstrap servers, which race e reads")
    parser.add_argument("--replicas", help="its user-managements, host:port,…, which race e calls")
    options = parser.parse_args()
    if options.url and not options.token:
        parser.error("--url needs --token")
    if options.url and "e" in options.only and not (options.kafka and options.replicas):
        parser.error("race e needs --kafka and --replicas")
    return options


def _letters(text: str) -> list[str]:
    letters = text.split(",")
    if unknown := set(letters) - set(RACES):
        raise argparse.ArgumentTypeError(f"no race is called {', '.join(sorted(unknown))}")
    return letters


@contextmanager
def _given(options: argparse.Namespace) -> Iterator[Target]:
    yield Target(
        Api(options.url, options.token), options.kafka or "", (options.replicas or "").split(",")
    )


@contextmanager
def _started() -> Iterator[Target]:
    """A platform of its own on Apache Kafka, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="races-") as directory:
        platform = Platform(Path(directory) / "state")
        platform.variables["ROLLCALL_BROKER"] = "kafka"
        try:
            if (said := platform.ask("up")).code:
                raise Unusable(said.err.strip())
            first = platform.ports["USER_MANAGEMENT_PORT"]
            yield Target(
                Api(platform.url, platform.run("token").strip()),
                str(platform.status()["broker"]["bootstrap_servers"]),
                [f"{HOST}:{first + number}" for number in range(_REPLICAS)],
            )
        finally:
            platform.ask("down")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
