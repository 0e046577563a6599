"""What telemetry costs a request that creates a user.

Two platforms stand side by side, one of which traces at the default sampling and exports to a
collector that only counts. A round is four short windows of load, without, with, with and without
traces, or the other way round, so that what else happens on the machine meets both alike; the
median of the rounds counts. After half of them the platforms change their roles, because no two
are equally fast. Metrics and logs cannot be switched off: both have them, and what the metrics of
one request cost is measured by itself. Needs Linux, for the CPU time of processes, and Apache
Kafka.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

import uvloop
from bench import cases, cpu, stage
from bench.counting import Counting, counting
from bench.load import Window, measure, percentile
from e2e.local_platform import Platform

from rollcall_events.metrics import Sent
from rollcall_gateway import metrics
from rollcall_user_management.api.serving import Serving

FIRST_WARM_UP, WARM_UP = 5.0, 0.5  # seconds before the first window of a platform, and the others
AIM = 0.05  # of the rate, at most
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TIMES = 20_000  # of the metrics of one request


@dataclass
class Side:
    """variables: what a platform is started with to be on it."""

    name: str
    variables: dict[str, str]
    windows: list[Window] = field(default_factory=list)

    def median(self, figure: Callable[[Window], float]) -> float:
        return median(map(figure, self.windows))


def main() -> int:
    options = _options()

    def measure_all() -> None:
        with ExitStack() as stack:
            collector = stack.enter_context(counting())
            off = Side("without traces", {})
            on = Side("with traces", {_ENDPOINT: collector.endpoint})
            first = stack.enter_context(stage.platform(off.variables))
            second = stack.enter_context(stage.platform(on.variables))
            _rounds([(off, first), (on, second)], options)
            for side, platform in ((on, first), (off, second)):
                platform.variables.pop(_ENDPOINT, None)
                platform.variables |= side.variables
                stage.start_anew(platform)
            _rounds([(off, second), (on, first)], options)
        _show(off, on, collector, options)

    return stage.benchmark(measure_all)


def _rounds(sides: Sequence[tuple[Side, Platform]], options: argparse.Namespace) -> None:
    stands = [_Stand(side, platform, options) for side, platform in sides]
    for stand in stands:
        stand.window(FIRST_WARM_UP)
    rounds = options.rounds // 2
    for number in range(1, rounds + 1):
        for stand in (*stands, *reversed(stands)):
            stand.side.windows.append(stand.window(WARM_UP))
        stands.reverse()  # neither is always the first
        last = [f"{side.name} {_rate(side.windows[-2:]):.0f}/s" for side, _ in sides]
        _say(f"round {number} of {rounds}: {', '.join(last)}")


class _Stand:
    """A platform that is measured as one of the sides."""

    def __init__(self, side: Side, platform: Platform, options: argparse.Namespace):
        self.side = side
        self._platform = platform
        self._options = options
        self._groups = stage.processes(platform)
        token = platform.run("token").strip()
        port = platform.ports["GATEWAY_PORT"]
        self._case = cases.http(side.name, "/v1/users", port, f"Authorization: Bearer {token}")

    def window(self, warm_up: float) -> Window:
        stage.wait_until_idle(self._platform)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            window = runner.run(self._measured(warm_up))
        if not window.latencies:
            raise stage.CannotMeasure(f"{self.side.name}: no right answer, but {window.errors}")
        return window

    async def _measured(self, warm_up: float) -> Window:
        async with self._case.clients(self._options.clients) as clients:
            seconds = self._options.seconds
            return await measure(clients, warm_up, seconds, lambda: cpu.spent(self._groups))


def _rate(windows: Sequence[Window]) -> float:
    return sum(window.rate for window in windows) / len(windows)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _by_rounds(off: Side, on: Side, figure: Callable[[Sequence[Window]], float]) -> float:
    """What it is more with traces, as a part of what it is without: the median of the rounds."""
    found = [
        figure(on.windows[n : n + 2]) / figure(off.windows[n : n + 2])
        for n in range(0, len(off.windows), 2)
    ]
    return median(found) - 1


def _cpu(windows: Sequence[Window]) -> float:
    """Milliseconds of a request, of the services alone: they are what traces."""
    used = sum(w.spent.groups[name] for w in windows for name in ("gateway", "users"))
    return 1000 * used / sum(len(w.latencies) for w in windows)


def _latency(percent: int) -> Callable[[Window], float]:
    """In milliseconds."""
    return lambda window: 1000 * percentile(window.latencies, percent)


def _metrics_cpu() -> float:
    """Milliseconds that the metrics of one request take, in the gateway and user-management."""
    sent, method = Sent("bench"), "rollcall.users.v1.UserCommandService/CreateUser"
    began = time.process_time()
    for _ in range(_TIMES):
        with metrics.IN_FLIGHT.track_inprogress():
            pass
        metrics.request_done("POST", "/v1/users", 201, 0.01)
        Serving(method, None).end("OK")
        sent.acknowledged()
    return 1000 * (time.process_time() - began) / _TIMES


def _show(off: Side, on: Side, collector: Counting, options: argparse.Namespace) -> None:
    lines = [
        f"Medians of {2 * options.rounds} windows of {options.seconds:g} s each,"
        f" {options.clients} clients of POST /v1/users.",
        f"{'':>16}  {'req/s':>6}  {'p50 ms':>6}  {'p99 ms':>6}  {'CPU ms':>6}  errors",
    ]
    for side in (off, on):
        p50, p99 = side.median(_latency(50)), side.median(_latency(99))
        errors = sum(w.errors.total() for w in side.windows)
        figures = f"{side.median(lambda w: w.rate):6.0f}  {p50:6.2f}  {p99:6.2f}"
        lines.append(f"{side.name:>16}  {figures}  {_cpu(side.windows):6.2f}  {errors:6}")
    rate, more = _by_rounds(off, on, _rate), _by_rounds(off, on, _cpu)
    lines += [
        f"With traces, medians of rounds: {rate:+.1%} requests a second (the aim: -{AIM:.0%}),"
        f" {more:+.1%} CPU of gateway and user-management.",
        f"Metrics, which both have: {_metrics_cpu() / _cpu(off.windows):.1%} of that CPU.",
        f"The collector counted {collector.count} spans.",
    ]
    print("\n".join(lines))  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.telemetry", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.5, help="of each window")
    parser.add_argument(
        "--rounds", type=int, default=24, help="of two windows each, an even number"
    )
    parser.add_argument("--clients", type=int, default=32)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
