"""Faults of every kind under load, at random, and whether everything still agrees.

Run: python -m chaos --minutes 10 --seed 1 (make chaos). Exits 1 on a violation, and leaves the
state directory then.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from chaos import campaign, cluster
from chaos.kinds import Kind
from e2e.addresses import environment, ports_of

from rollcall_local.home import Home


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="under load")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    given = parser.parse_args()
    # A SIGTERM ends it as Ctrl-C does: with everything stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = Home(Path(tempfile.mkdtemp(prefix="rollcall-chaos-")) / "state")
    ports = ports_of(environment(home.root))
    _say(f"{given.minutes:g} minutes, seed {given.seed}, in {home.root}")
    try:
        with cluster.running(home, ports) as running:
            kinds = _kinds(given.minutes, given.seed)
            report = campaign.run(running, kinds, given.seed, _say)
    except KeyboardInterrupt:
        shutil.rmtree(home.root.parent)
        _say("interrupted: everything is stopped and removed")
        return 130
    for line in campaign.summary(report):
        _say(line)
    _say(f"seed {given.seed}")
    if not report.clean:
        return 1
    shutil.rmtree(home.root.parent)
    return 0


def _kinds(minutes: float, seed: int) -> Iterator[Kind]:
    """Every kind in random order, again and again, until the time is over."""
    rng, end = random.Random(seed), time.monotonic() + 60 * minutes
    while True:
        for kind in rng.sample(list(Kind), len(Kind)):
            if time.monotonic() > end:
                return
            yield kind


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
