"""Faults of every kind under a steady load; then everything comes to rest, is mended and read."""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median

import psycopg2
from chaos import groups, mending
from chaos.checker import Evidence, Verdict, check
from chaos.cluster import Cluster
from chaos.injecting import Injected, Injector
from chaos.kinds import Fault, Kind, inflict
from confluent_kafka import KafkaException
from e2e.waiting import eventually
from faults import log, store
from faults.load import Load

from rollcall_local.services import MAIL, SLACK

CLIENTS, THINKS = 4, 1.0  # seconds: about eight commands a second
RECOVERS_WITHIN = 120.0  # seconds from a fault
_UP_WITHIN = 60.0
_DIVIDED_WITHIN = 20.0  # a group that forgets a member needs six for it
_RESTS_WITHIN = 120.0
_DELIVERED_WITHIN = 240.0
_FIRST = 20  # commands before the first fault

Say = Callable[[str], None]


@dataclass
class Suffered:
    """recoveries: seconds, by kind. in_flight: as Evidence has it. wrongly_held: partitions that,
    some time after everything had recovered, nobody held, or several."""

    recoveries: dict[Kind, list[float]] = field(default_factory=lambda: defaultdict(list))
    in_flight: Counter[str] = field(default_factory=Counter)
    wrongly_held: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    verdict: Verdict
    recoveries: Mapping[Kind, list[float]]
    trouble: Sequence[str]
    wrongly_held: Sequence[str]
    seconds: float

    @property
    def wrongs(self) -> Mapping[str, Sequence[str]]:
        return {
            **self.verdict.wrongs,
            "held by nobody, or by several": self.wrongly_held,
            "not recovered, or not finished, in time": self.trouble,
        }

    @property
    def clean(self) -> bool:
        return not any(self.wrongs.values())


def run(cluster: Cluster, kinds: Iterator[Kind], seed: int, say: Say) -> Report:
    """The faults of `kinds`, one after the other, up to one that is not recovered from."""
    began = time.monotonic()
    injector, suffered = Injector(cluster), Suffered()
    trouble: list[str] = []
    with Load(cluster.url, cluster.token, seed, clients=CLIENTS, thinks=THINKS) as load:
        try:
            eventually(lambda: load.acknowledged >= _FIRST, within=RECOVERS_WITHIN)
            rng = random.Random(seed)
            for kind in kinds:
                injector.inject()
                known = len(suffered.wrongly_held)
                recovered = _survive(kind, cluster, load, rng, suffered)
                say(
                    f"{time.monotonic() - began:6.0f} s  {kind.value:<36}"
                    f"recovered after {recovered:5.1f} s  acknowledged {load.acknowledged}"
                )
                for wrong in suffered.wrongly_held[known:]:
                    say(f"          {wrong}")
        except AssertionError as error:  # the rest can be judged all the same
            trouble.append(str(error))
            say(f"ends here: {error}")
    seconds = time.monotonic() - began
    say("the load has ended; everything comes to rest")
    trouble += _come_to_rest(cluster)
    before = groups.read(cluster.database_url)
    trouble += mending.mend(cluster)
    trouble += mending.deliver(cluster, _DELIVERED_WITHIN, say)
    evidence = _evidence(cluster, load, before, injector.injected, suffered.in_flight)
    say(f"checking {len(evidence.told)} commands and {len(evidence.records)} records")
    verdict = check(evidence)
    return Report(verdict, suffered.recoveries, trouble, suffered.wrongly_held, seconds)


def _survive(
    kind: Kind, cluster: Cluster, load: Load, rng: random.Random, suffered: Suffered
) -> float:
    load.people.era += 1
    start = len(load.told)
    fault = inflict(kind, cluster, rng)
    try:
        recovered = _recover(cluster, load, start, fault)
    finally:
        suffered.in_flight += fault.in_flight
    suffered.recoveries[kind].append(recovered)
    suffered.wrongly_held += [f"after {kind.value}: {w}" for w in _wrongly_held(cluster)]
    return recovered


def _evidence(
    cluster: Cluster,
    load: Load,
    before: Mapping[str, groups.Group],
    injected: Injected,
    in_flight: Counter[str],
) -> Evidence:
    mail, slack = cluster.providers.mail, cluster.providers.slack
    return Evidence(
        told=load.told,
        records=log.records(cluster.bootstrap_servers),
        store=store.read(cluster.database_url),
        before=before,
        after=groups.read(cluster.database_url),
        injected=injected,
        accepted={MAIL: mail.accepted, SLACK: slack.accepted},
        refused={MAIL: mail.refused, SLACK: slack.refused},
        in_flight=in_flight,
    )


def _recover(cluster: Cluster, load: Load, start: int, fault: Fault) -> float:
    """Seconds from the fault until a command sent since is acknowledged, and every group, with
    every partition in the hand of somebody who answers, has passed what the log held then. Of a
    provider's trouble, seconds from its end until all that had waited has come to its end. Returns
    once the fault is over and every process up."""

    def acknowledged() -> bool:
        load.check()
        return load.first_acknowledged(fault.began, start) is not None

    eventually(acknowledged, within=RECOVERS_WITHIN)
    eventually(cluster.is_consumed, within=RECOVERS_WITHIN)
    ends = eventually(lambda: _ends(cluster), within=RECOVERS_WITHIN)
    eventually(lambda: not _behind(cluster, ends), within=RECOVERS_WITHIN)
    recovered = time.monotonic() - fault.began
    assert fault.ended.wait(RECOVERS_WITHIN), "the fault does not end"
    if provider := fault.provider:
        waited = groups.pending(cluster.database_url, provider)
        eventually(
            lambda: not waited & groups.pending(cluster.database_url, provider),
            within=RECOVERS_WITHIN,
        )
        recovered = time.monotonic() - fault.over
    eventually(cluster.is_up, within=_UP_WITHIN)
    return recovered


def _wrongly_held(cluster: Cluster) -> list[str]:
    """Which partitions not exactly one replica holds, even after some time."""
    left: list[str] = []

    def is_divided() -> bool:
        left[:] = cluster.wrongly_held()
        return not left

    with suppress(AssertionError):
        eventually(is_divided, within=_DIVIDED_WITHIN)
    return left


def _ends(cluster: Cluster) -> Mapping[int, int]:
    try:
        return log.ends(cluster.bootstrap_servers)
    except KafkaException:  # a moment after its start
        return {}


def _behind(cluster: Cluster, ends: Mapping[int, int]) -> list[str]:
    """Which partitions a group has not passed up to their `ends`."""
    try:
        reached = groups.reached(cluster.database_url)
    except psycopg2.OperationalError as error:  # likewise
        return [f"cannot be read: {error}"]
    return [
        f"{group}: partition {partition} is at {places.get(partition, 0)} of {end}"
        for group, places in reached.items()
        for partition, end in ends.items()
        if places.get(partition, 0) < end
    ]


def _come_to_rest(cluster: Cluster) -> list[str]:
    """Let what is under way in the log and its groups end; what does not, in time."""
    cluster.gateway.stop()
    left = ["the log cannot be read"]

    def rests() -> bool:
        if ends := _ends(cluster):
            unsettled = store.reached(cluster.database_url)[1]
            left[:] = [*_behind(cluster, ends), *(f"unsettled: {a}" for a in unsettled)]
        return not left

    with suppress(AssertionError):
        eventually(rests, within=_RESTS_WITHIN)
    return left


def summary(report: Report) -> Iterator[str]:
    """The tables at the end, line by line."""
    yield f"{'fault':<44}{'times':>6}{'time to recover: median':>25}{'max':>9}"
    for kind in (kind for kind in Kind if kind in report.recoveries):
        yield _times(kind.value, report.recoveries[kind])
    every = [seconds for found in report.recoveries.values() for seconds in found]
    if every:
        yield _times("all of them", every)
    yield f"{report.seconds:.0f} s under load"
    yield ""
    for figure, number in report.verdict.counts.items():
        yield f"{figure:<56}{number:>9}"
    yield ""
    for figure, wrongs in report.wrongs.items():
        yield f"{figure:<56}{len(wrongs):>9}"
    for figure, wrongs in report.wrongs.items():
        for wrong in wrongs[:10]:
            yield f"  {figure}: {wrong}"


def _times(name: str, seconds: Sequence[float]) -> str:
    return f"{name:<44}{len(seconds):>6}{median(seconds):>23.1f} s{max(seconds):>7.1f} s"
