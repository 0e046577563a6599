"""What consuming costs: the projection beside its floor, the library beside others, delays, and how
long partitions are without a consumer.

One Apache Kafka, one Postgres and one log for everything; each case consumes it from the start
into an empty database, in a process of its own. Medians of several rounds.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median

import psycopg2
from bench.consumers import delay, floor, log
from e2e.waiting import eventually

from rollcall_events import PARTITIONS, KafkaSettings
from rollcall_events.ids import uuid7
from rollcall_local import kafka, ports, postgres
from rollcall_local.errors import Unavailable

BATCHES = (500, 5_000)  # the most records of a transaction
RATES = (100, 1_000)  # events a second
FOR_EACH = 5  # events of a user
WITHIN = 120.0  # seconds, for a case to begin, and to end
ONE_BY_ONE = 8.0  # seconds; it would take minutes to the end
ENDINGS = {"is stopped": signal.SIGTERM, "is killed": signal.SIGKILL}
FOR_HANDOVER = 20.0  # seconds under load, from a fifth of which on one of two replicas is gone
_LONGEST = "longest wait, one of two replicas "
RAW, PEER, TRIVIAL = "raw consume and parse", "FastStream, confluent", "library, trivial handler"

Measured = dict[str, list[float]]


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            run = _Run(stack, options)
            for number in range(options.rounds):
                run.round(f"round {number + 1} of {options.rounds}, ")
    except Unavailable as missing:
        print(f"this needs Apache Kafka: {missing}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    _show(run.measured, options)
    return 0


class _Run:
    def __init__(self, stack: ExitStack, options: argparse.Namespace):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-bench-")))
        self._postgres = stack.enter_context(
            postgres.running(folder / "postgres", ports.free_port())
        )
        broker = stack.enter_context(kafka.running(folder / "kafka", ports.free_port()))
        self._settings = KafkaSettings(broker.bootstrap_servers)
        self._seconds = options.seconds
        self.measured: Measured = {}
        _say(f"{options.users * FOR_EACH} events of {options.users} users are appended")
        self.events = log.fill(self._settings, options.users, FOR_EACH)

    def round(self, prefix: str) -> None:
        for case, measure in self._cases():
            figure = measure()
            self.measured.setdefault(case, []).append(figure)
            _say(f"{prefix}{case}: {figure:,.0f} events/s")
        for rate in RATES:
            with self._database() as database, self._library("projection", database, 2_000):
                self._wait(database, self.events)
                p50, p99 = delay.percentiles(self._settings, database, rate, self._seconds)
            self.measured.setdefault(f"p50 {rate}", []).append(p50)
            self.measured.setdefault(f"p99 {rate}", []).append(p99)
            self.events += int(rate * self._seconds) + 1
            _say(f"{prefix}delay at {rate}/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
        for ended, number in ENDINGS.items():
            seconds = self._handed_over(number)
            self.measured.setdefault(f"{_LONGEST}{ended}", []).append(seconds)
            _say(f"{prefix}one of two replicas {ended}: no event waits more than {seconds:.2f} s")

    def _handed_over(self, number: signal.Signals) -> float:
        """How long, at the most, an event waits where one of two replicas ends by a signal: until
        the other has its partitions, and has consumed them."""
        group, places = f"bench-{uuid7()}", [ports.free_port(), ports.free_port()]
        with self._database() as database, ExitStack() as stack:
            first, _ = (
                stack.enter_context(self._library("projection", database, 2_000, group, port))
                for port in places
            )
            self._wait(database, self.events)
            eventually(
                lambda: [_held(port) for port in places] == [PARTITIONS // 2] * 2, within=WITHIN
            )
            waited = delay.longest(
                self._settings, database, RATES[0], FOR_HANDOVER, lambda: first.send_signal(number)
            )
            self.events += int(RATES[0] * FOR_HANDOVER) + 1
        return waited

    def _cases(self) -> Iterator[tuple[str, Callable[[], float]]]:
        yield RAW, lambda: self._other("raw")
        yield PEER, lambda: self._other("faststream_peer")
        yield TRIVIAL, lambda: self._consumed("trivial", 5_000)
        for size in BATCHES:
            yield from self._projection_and_floor(size)
        yield "projection, one event a transaction", lambda: self._consumed("projection", 1)

    def _projection_and_floor(self, size: int) -> Iterator[tuple[str, Callable[[], float]]]:
        with self._database() as filled, self._database() as empty:
            yield (
                f"projection, batches of {size}",
                lambda: self._rate_into(filled, "projection", size),
            )
            yield f"floor, batches of {size}", lambda: floor.rate(filled, empty, size)

    def _consumed(self, way: str, batch: int) -> float:
        with self._database() as database:
            return self._rate_into(database, way, batch)

    def _rate_into(self, database: str, way: str, batch: int) -> float:
        with self._library(way, database, batch):
            first, began = self._wait(database, 1)
            end = began + (ONE_BY_ONE if batch == 1 else WITHIN)
            last, ended = self._wait(database, self.events, end)
        return (last - first) / (ended - began)

    def _wait(self, database: str, wanted: int, end: float | None = None) -> tuple[int, float]:
        """How many events are stored, and when: once it is so many, or at the end."""
        pause = threading.Event()  # never set
        fails = time.perf_counter() + WITHIN
        with closing(psycopg2.connect(database)) as connection:
            connection.autocommit = True
            while True:
                count, now = _stored(connection), time.perf_counter()
                if count >= wanted or (end is not None and now > end):
                    return count, now
                if end is None and now > fails:
                    raise TimeoutError(f"{count} of {wanted} events in {WITHIN:.0f} s")
                pause.wait(0.02)

    @contextmanager
    def _library(
        self, way: str, database: str, batch: int, group: str | None = None, port: int = 0
    ) -> Iterator[subprocess.Popen[bytes]]:
        arguments = [way, "--servers", self._settings.bootstrap_servers, "--database", database]
        arguments += ["--group", group or f"bench-{uuid7()}", "--batch", str(batch)]
        with subprocess.Popen(_python("library", *arguments, "--port", str(port))) as process:
            try:
                yield process
            finally:
                process.terminate()
                process.wait(20)

    def _other(self, module: str) -> float:
        arguments = (self._settings.bootstrap_servers, f"bench-{uuid7()}", str(self.events))
        said = subprocess.run(
            _python(module, *arguments),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=2 * WITHIN,
        )
        return self.events / float(said.stdout)

    @contextmanager
    def _database(self) -> Iterator[str]:
        """An empty one, gone afterwards; its URL."""
        name = f"bench_{uuid7().replace('-', '')}"
        with closing(psycopg2.connect(self._postgres.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name}")
            yield self._postgres.url(database=name)
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _stored(connection: psycopg2.extensions.connection) -> int:
    """The sum of the stored offsets, in whichever schema they are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'offsets'")
        row = cursor.fetchone()
        if row is None:
            return 0
        cursor.execute(f"SELECT coalesce(sum(next_offset), 0) FROM {row[0]}.offsets")
        return int((cursor.fetchone() or (0,))[0])


def _held(port: int) -> int:
    """How many partitions a replica holds, as it says itself."""
    try:
        with urllib.request.urlopen(f"http://{ports.HOST}:{port}/status", timeout=5) as answer:
            return len(json.load(answer)["partitions"]["users"])
    except OSError:  # it does not listen yet
        return 0


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"bench.consumers.{module}", *arguments]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _show(measured: Measured, options: argparse.Namespace) -> None:
    figures = {case: median(values) for case, values in measured.items()}
    if options.json:
        Path(options.json).write_text(json.dumps({"medians": figures, "rounds": measured}))
    lines = [
        f"Medians of {options.rounds} rounds. Cores: {os.cpu_count()}.",
        "",
        f"{'case':40}{'events/s':>12}   ratios",
    ]
    for case, figure in figures.items():
        if not case.startswith(("p50", "p99", _LONGEST)):
            lines.append(f"{case:40}{figure:>12,.0f}   {_ratios(case, figures)}")
    for rate in RATES:
        p50, p99 = figures[f"p50 {rate}"], figures[f"p99 {rate}"]
        lines.append(f"append to visible row at {rate}/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    for ended in ENDINGS:
        waited, most = figures[f"{_LONGEST}{ended}"], max(measured[f"{_LONGEST}{ended}"])
        lines.append(
            f"one of two replicas {ended}: an event waits {waited:.2f} s at the most (the longest"
            f" of all rounds: {most:.2f} s)"
        )
    print("\n".join(lines))  # noqa: T201  (the answer)


def _ratios(case: str, figures: dict[str, float]) -> str:
    compared = {
        TRIVIAL: {"of raw": RAW, "x FastStream": PEER},
        **{
            f"projection, batches of {size}": {
                "of the floor": f"floor, batches of {size}",
                "x one a transaction": "projection, one event a transaction",
            }
            for size in BATCHES
        },
    }
    return ", ".join(
        f"{figures[case] / figures[other]:.2f} {said}"
        for said, other in compared.get(case, {}).items()
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement of delays")
    parser.add_argument("--json", help="a file for all figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
