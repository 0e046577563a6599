"""What the past costs: moments, lists, searches, exports, rebuilds and verification.

On a platform of its own with Apache Kafka and, beside it for the questions, one with 10,000 events:
they are asked in turn, so that it shows whether a look at the past grows with the log, and not how
the machine's speed changes. Needs Linux, for the memory of processes.
"""

import argparse
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench import stage
from bench.history import rebuilding, reporting
from bench.history.client import Ask, WrongAnswer, milliseconds
from bench.history.explain import indexes_of_search
from bench.history.exporting import export
from bench.history.questions import KINDS, Questions, known, rare_part
from bench.history.reporting import Figures
from bench.history.stored import Store
from e2e.local_platform import Platform

FIRST = 10_000  # events
FOR_EACH = 10  # events of a user
ROUNDS = 3  # of questions of each kind, to each platform: their medians count
FORMS = {"NDJSON": "application/x-ndjson", "CSV": "text/csv"}


def main() -> int:
    options = _options()

    def measure_all() -> None:
        figures = Figures(options.events, os.cpu_count() or 0)
        with stage.platform() as platform:
            _Run(platform, options, figures).all()
        rebuilding.measure_deliveries(FIRST, figures, _say)
        print(reporting.table(figures))  # noqa: T201  (the answer)
        if options.json:
            options.json.write_text(json.dumps(reporting.document(figures), indent=2) + "\n")

    return stage.benchmark(measure_all)


class _Asked:
    """A platform that questions are asked of."""

    def __init__(self, platform: Platform):
        self.store = Store(platform, _say)
        self.token = platform.run("token").strip()
        self.port = platform.ports["GATEWAY_PORT"]
        self._platform = platform

    def questions(self) -> dict[str, Iterator[Ask]]:
        """By their kind."""
        self.store.analyze()
        questions = Questions(known(self._platform), random.Random(1))
        return {kind: ask(questions) for kind, ask in KINDS.items()}

    def round(self, asked: Iterator[Ask], requests: int) -> tuple[float, float]:
        """p50 and p99, in milliseconds."""
        return milliseconds(self.port, self.token, [next(asked) for _ in range(requests)])


class _Run:
    def __init__(self, platform: Platform, options: argparse.Namespace, figures: Figures):
        self._platform = platform
        self._options = options
        self._figures = figures
        self._large = _Asked(platform)

    def all(self) -> None:
        store = self._large.store
        store.load("first", FIRST // FOR_EACH, FIRST)
        more = self._options.events - FIRST
        seconds = store.load("more", more // FOR_EACH, more)
        self._figures.projected = more / seconds
        with stage.platform() as beside:
            small = _Asked(beside)
            small.store.load("first", FIRST // FOR_EACH, FIRST)
            self._ask(small)
        self._explain()
        self._export()
        rebuilding.measure(self._platform, store, self._large.token, self._figures, _say)

    def _ask(self, small: _Asked) -> None:
        few, many = small.questions(), self._large.questions()
        for kind in KINDS:
            requests = self._options.requests
            try:
                rounds = [
                    (small.round(few[kind], requests), self._large.round(many[kind], requests))
                    for _ in range(ROUNDS)
                ]
            except WrongAnswer as wrong:
                self._figures.failed[kind] = str(wrong)
                _say(f"{kind}: {wrong}")
                continue
            sides = zip(
                (self._figures.small, self._figures.large), zip(*rounds, strict=True), strict=True
            )
            for found, asked in sides:
                p50, p99 = (median(figures) for figures in zip(*asked, strict=True))
                found[kind] = (p50, p99)
                _say(f"{kind}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")

    def _explain(self) -> None:
        person = known(self._platform).people[0]
        self._figures.indexes = indexes_of_search(self._large.store.url, rare_part(person))
        _say(f"a search goes by {', '.join(self._figures.indexes)}")

    def _export(self) -> None:
        pids = {name: int(p["pid"]) for name, p in self._platform.processes().items()}
        groups = {
            service: [pid for name, pid in pids.items() if name.startswith(service)]
            for service in ("gateway", "user-management")
        }
        for form, media_type in FORMS.items():
            try:
                exported = export(self._large.port, self._large.token, media_type, groups)
            except WrongAnswer as wrong:
                self._figures.failed[f"export, {form}"] = str(wrong)
                continue
            self._figures.exports[form] = exported
            _say(f"{form}: {exported.rows:,} rows, {exported.rate:,.0f} a second")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.history", description=__doc__)
    parser.add_argument(
        "--events", type=_events, default=1_000_000, help="of a tenth as many users"
    )
    parser.add_argument("--requests", type=int, default=1_000, help="of each kind and round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def _events(text: str) -> int:
    if int(text) < 2 * FIRST:
        raise argparse.ArgumentTypeError(f"must be at least {2 * FIRST}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
