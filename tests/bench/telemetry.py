"""What telemetry costs a request that creates a user.

Two platforms stand side by side, one of which traces at the default sampling and exports to a
collector that only counts. Windows of load alternate between them, so that what else happens on the
machine meets both; after half of the rounds they change their roles, because no two platforms are
equally fast. Metrics and logs cannot be switched off: both have them, and what the metrics of one
request cost is measured by itself. Needs Linux, for the CPU time of processes, and Apache Kafka.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
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

WARM_UP = 2.0  # seconds before each window
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


def _rounds(sides: list[tuple[Side, Platform]], options: argparse.Namespace) -> None:
    for side, platform in sides:
        _window(side, platform, "warm-up", options)
    rounds = options.rounds // 2
    for number in range(1, rounds + 1):
        sides.reverse()  # neither is always the first
        for side, platform in sides:
            window = _window(side, platform, f"round {number} of {rounds}", options)
            side.windows.append(window)


def _window(side: Side, platform: Platform, progress: str, options: argparse.Namespace) -> Window:
    stage.wait_until_idle(platform)
    token = platform.run("token").strip()
    port = platform.ports["GATEWAY_PORT"]
    case = cases.http(side.name, "/v1/users", port, f"Authorization: Bearer {token}")
    groups = stage.processes(platform)

    async def run() -> Window:
        async with case.clients(options.clients) as clients:
            return await measure(clients, WARM_UP, options.seconds, lambda: cpu.spent(groups))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        window = runner.run(run())
    if not window.latencies:
        raise stage.CannotMeasure(f"{side.name}: no right answer, but {dict(window.errors)}")
    line = f"{progress}, {side.name}: {window.rate:.0f}/s, {_cpu(window):.2f} ms of CPU a request"
    print(line, file=sys.stderr, flush=True)  # noqa: T201
    return window


def _cpu(window: Window) -> float:
    """Milliseconds of a request, of the services alone: they are what traces."""
    used = sum(window.spent.groups[name] for name in ("gateway", "users"))
    return 1000 * used / len(window.latencies)


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
        f"Medians of {options.rounds} windows of {options.seconds:g} s each,"
        f" {options.clients} clients of POST /v1/users.",
        f"{'':>16}  {'req/s':>6}  {'p50 ms':>6}  {'p99 ms':>6}  {'CPU ms':>6}  errors",
    ]
    for side in (off, on):
        p50, p99 = side.median(_latency(50)), side.median(_latency(99))
        errors = sum(w.errors.total() for w in side.windows)
        figures = f"{side.median(lambda w: w.rate):6.0f}  {p50:6.2f}  {p99:6.2f}"
        lines.append(f"{side.name:>16}  {figures}  {side.median(_cpu):6.2f}  {errors:6}")
    pairs = list(zip(off.windows, on.windows, strict=True))
    rate = median(traced.rate / plain.rate for plain, traced in pairs) - 1
    more = median(_cpu(traced) / _cpu(plain) for plain, traced in pairs) - 1
    lines += [
        f"With traces, medians of pairs: {rate:+.1%} requests a second (the aim: -{AIM:.0%}),"
        f" {more:+.1%} CPU of gateway and user-management.",
        f"Metrics, which both have: {_metrics_cpu() / off.median(_cpu):.1%} of that CPU.",
        f"The collector counted {collector.count} spans.",
    ]
    print("\n".join(lines))  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.telemetry", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=12, help="of a window each, an even number")
    parser.add_argument("--clients", type=int, default=32)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
