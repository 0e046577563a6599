"""What creating a user costs, beside a conventional service on the same Postgres.

One run and one load generator for everything: the same clients create users through the gateway,
straight at user-management, by the client library alone, and at the peer. Needs Linux, for the
CPU time of processes, and Apache Kafka.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop
from bench import cases, cpu, report, stage
from bench.cases import Case
from bench.load import Window, measure, percentile
from e2e.local_platform import Platform

from rollcall_events import KafkaSettings
from rollcall_events.topic import ensure_topic

WARM_UP = 2.0  # seconds before each window
# Seconds under load before the first of them: until then Kafka's JVM compiles what it runs, and
# a broker costs three times the CPU that it costs for the rest of its life.
BROKER_WARM_UP = 30.0

PEER = "POST /users, the peer"
_TOPIC = "bench"

Measured = dict[tuple[int, str], list[Window]]


def main() -> int:
    options = _options()

    def measure_all() -> None:
        with stage.platform() as platform, stage.peer(platform) as (peer_port, peer_pid):
            rows = _Run(options, platform, peer_port, peer_pid).rows()
        _show(rows, options)

    return stage.benchmark(measure_all)


class _Run:
    def __init__(
        self, options: argparse.Namespace, platform: Platform, peer_port: int, peer_pid: int
    ):
        self._options = options
        self._platform = platform
        self._peer_port = peer_port
        self._peer_pid = peer_pid

    def rows(self) -> list[report.Row]:
        cases = self._cases()
        most, seconds = max(self._options.clients), self._options.seconds
        self._window("warm-up", cases[0], most, BROKER_WARM_UP)
        for case in cases[1:]:
            self._window("warm-up", case, most, seconds)
        measured = self._rounds(cases)
        stage.start_notifying(self._platform)
        measured |= self._rounds([self._gateway(" with mail and Slack")])
        return [report.row(case, count, windows) for (count, case), windows in measured.items()]

    def _cases(self) -> list[Case]:
        servers = self._platform.status()["broker"]["bootstrap_servers"]
        kafka = KafkaSettings(servers)
        ensure_topic(kafka, _TOPIC)
        return [
            self._gateway(""),
            cases.rpc("CreateUser over gRPC", stage.grpc_target(self._platform)),
            cases.append("append to Kafka alone", kafka, _TOPIC),
            cases.http(PEER, "/users", self._peer_port),
        ]

    def _gateway(self, circumstances: str) -> Case:
        token = self._platform.run("token").strip()
        authorization = f"Authorization: Bearer {token}"
        port = self._platform.ports["GATEWAY_PORT"]
        return cases.http(f"POST /v1/users{circumstances}", "/v1/users", port, authorization)

    def _rounds(self, cases: Sequence[Case]) -> Measured:
        """Every case after the other for each number of clients, again in each round."""
        counts, rounds = self._options.clients, self._options.rounds
        measured: Measured = {(count, case.name): [] for count in counts for case in cases}
        for number in range(1, rounds + 1):
            for count, name in measured:
                case = next(case for case in cases if case.name == name)
                progress = f"round {number} of {rounds}"
                window = self._window(progress, case, count, self._options.seconds)
                measured[count, name].append(window)
        return measured

    def _window(self, progress: str, case: Case, count: int, seconds: float) -> Window:
        stage.wait_until_idle(self._platform)
        groups = stage.processes(self._platform, peer=self._peer_pid)

        async def run() -> Window:
            async with case.clients(count) as clients:
                return await measure(clients, WARM_UP, seconds, lambda: cpu.spent(groups))

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            window = runner.run(run())
        if not window.latencies:
            raise stage.CannotMeasure(f"{case.name}: no right answer, but {dict(window.errors)}")
        _say(f"{progress}, {count:>3} clients, {case.name}: {_summary(window)}")
        return window


def _summary(window: Window) -> str:
    p50, p99 = (1000 * percentile(window.latencies, share) for share in (50, 99))
    errors = f", {window.errors.total()} errors" if window.errors else ""
    return f"{window.rate:.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms{errors}"


def _show(rows: Sequence[report.Row], options: argparse.Namespace) -> None:
    machine = ", ".join(f"{name} {value}" for name, value in report.machine().items())
    lines = [
        f"Medians of {options.rounds} rounds of {options.seconds:g} s. {machine}.",
        "",
        report.rates(rows, PEER),
        "",
        "CPU milliseconds for each request; cores busy with these processes, and with others",
        report.cpu(rows),
        *report.errors(rows),
    ]
    print("\n".join(lines))  # noqa: T201
    if options.json:
        document = report.document(rows, seconds=options.seconds, rounds=options.rounds)
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.commands", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
