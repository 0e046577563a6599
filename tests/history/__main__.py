"""Whether every answer about the past is a fold of the log: random histories on a platform of its
own, asked through the gateway, and compared with a pure model.

Run: python -m history (make history-check). Exits 1 on a difference, with the question that shows
it.
"""

import argparse
import random
import signal
import sys
import time
from collections import Counter

import httpx
from bench import stage
from e2e.local_platform import Platform
from e2e.stores import rows
from e2e.waiting import eventually
from history import record
from history.answering import Api
from history.checking import Verdict, check
from history.generator import history
from history.model import Model
from history.publishing import stamped_by_producers

from rollcall_events import KafkaSettings

_TOPIC = "users"
_FOR_EACH = 12  # events of a user, on average
_EVERY = 250  # comparisons between two lines of progress
_FOLDED_WITHIN = 60.0
_TIMEOUT = 15.0  # seconds; the gateway answers before, whatever is away


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _say(f"seed {options.seed}")
    try:
        with stage.platform() as platform:
            verdict = _run(platform, options)
    except stage.CannotMeasure as missing:
        _say(f"history-check: {missing}")
        return 3
    except KeyboardInterrupt:
        return 130
    for line in verdict.differences:
        _say(f"DIFFERENCE {line}")
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(verdict.comparisons.items()))
    total, differing = verdict.comparisons.total(), len(verdict.differences)
    _say(f"{total} comparisons ({counts}), seed {options.seed}: {differing} differences")
    return 1 if differing else 0


def _run(platform: Platform, options: argparse.Namespace) -> Verdict:
    """Histories one after the other, in one log; of each its share of comparisons."""
    settings = KafkaSettings(str(platform.status()["broker"]["bootstrap_servers"]))
    stamped_by_producers(settings, _TOPIC)
    token = platform.run("token").strip()
    total = Verdict()
    seeds = random.Random(options.seed)
    with httpx.Client(
        base_url=platform.url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT
    ) as client:
        for number in range(options.histories):
            model = _published(platform, settings, options.users, seeds.getrandbits(32))
            _say(f"history {number + 1} of {options.histories}: {len(model.entries)} records")
            share = options.comparisons // options.histories
            found = check(model, Api(client), share, seeds.getrandbits(32), _Progress())
            total.comparisons += found.comparisons
            total.differences += found.differences
            if total.differences:
                break
    return total


def _published(platform: Platform, settings: KafkaSettings, users: int, seed: int) -> Model:
    """What the log says with one more history in it, when it is folded."""
    began = int(1_000 * time.time()) - 3_600_000
    sent = history(seed, users, _FOR_EACH * users, began).sent
    record.append(settings.producer(), _TOPIC, sent)
    records = record.read(settings.bootstrap_servers, _TOPIC)
    ends = Counter(r.partition for r in records)

    def folded() -> bool:
        stored = dict(rows(platform, "SELECT partition, next_offset FROM offsets"))
        return all(stored.get(partition, 0) >= end for partition, end in ends.items())

    eventually(folded, within=_FOLDED_WITHIN)
    return Model(records)


class _Progress:
    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, verdict: Verdict) -> None:
        done = verdict.comparisons.total()
        if done % _EVERY == 0:
            seconds = time.monotonic() - self._began
            _say(f"  {done} comparisons, {len(verdict.differences)} differences, {seconds:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="history", description=__doc__)
    parser.add_argument("--comparisons", type=int, default=10_000)
    parser.add_argument("--histories", type=int, default=5)
    parser.add_argument("--users", type=int, default=200, help="of each history")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
