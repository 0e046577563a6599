"""`python -m model.check`: random lives on a running platform, compared with the model.

Starts a platform of its own unless it is given one. Exits 1 on a difference, with the shortest
run that shows it, and prints what was done in any case.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.local_platform import Platform
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from model.counts import Counts
from model.machine import Machine
from model.platform_model import Rules
from model.remote import Remote, client
from model.run import Run

_EVERY = 25  # runs between two lines of progress


def settings_for(runs: int, steps: int, *, shrink: bool) -> settings:
    """No deadline and no health check of speed: a step waits for other processes. No database:
    a run is not repeated in another one."""
    return settings(
        max_examples=runs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def check(start: Callable[[], Run], number: int, how: settings) -> None:
    """Raises the first difference. number: the seed."""

    @seed(number)
    class Started(Machine):
        def __init__(self) -> None:
            super().__init__(start())

    run_state_machine_as_test(Started, settings=how)


def main() -> None:
    options = _options()
    counts, began = Counts(), time.monotonic()
    with _platform(options) as (url, token), client(url, token) as http:

        def start() -> Run:
            if counts.runs and counts.runs % _EVERY == 0:
                _say(f"{counts.runs} runs, {counts.steps} steps, {time.monotonic() - began:.0f} s")
            return Run(Remote(http), Rules(), counts)

        try:
            check(start, options.seed, settings_for(options.runs, options.steps, shrink=True))
        finally:
            _report(counts, options.seed, time.monotonic() - began)


def _report(counts: Counts, number: int, seconds: float) -> None:
    mean = counts.steps / max(1, counts.runs)
    _say(f"{counts.runs} runs of {mean:.1f} steps on average, {counts.steps} steps, seed {number}")
    _say(f"{counts.requests} requests in {seconds:.0f} s, by kind and answer:")
    _say(counts.table())
    _say(f"{counts.of('unknown')} unknown outcomes, all resolved; {counts.differences} differences")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="model.check", description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--steps", type=int, default=50, help="at most, in a run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", help="of a gateway that runs; else one is started")
    parser.add_argument("--token", help="the first user's, of that platform")
    options = parser.parse_args()
    if (options.url is None) != (options.token is None):
        parser.error("--url and --token go together")
    return options


@contextmanager
def _platform(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """A gateway's address and a token."""
    if options.url:
        yield options.url, options.token
        return
    with tempfile.TemporaryDirectory() as home:
        platform = Platform(Path(home) / "state")
        try:
            platform.run("up")
            yield platform.url, platform.run("token").strip()
        finally:
            platform.run("down")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
