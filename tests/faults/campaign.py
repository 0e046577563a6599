"""Every kind of fault, so many times, under load; then everything comes to rest and is read."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import psycopg2
from confluent_kafka import KafkaException
from e2e.waiting import eventually
from faults import log, store
from faults.checker import Verdict, check
from faults.cluster import Cluster
from faults.kinds import Kind, inflict
from faults.load import Load

ACCEPTS_WITHIN = 120.0  # seconds after a fault
_UP_WITHIN = 60.0  # seconds until what was killed is there again
_RESTS_WITHIN = 150.0  # seconds; a lease that was renewed during an outage lasts a minute

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recovery:
    """accepts: seconds from the fault to the first acknowledgement of a command sent after it.
    pause: the longest time without any acknowledgement, until all processes were up again."""

    accepts: float
    pause: float


@dataclass(frozen=True)
class Report:
    verdict: Verdict
    recoveries: Mapping[Kind, list[Recovery]]
    restarts: int
    seconds: float
    trouble: list[str]

    @property
    def wrongs(self) -> Mapping[str, Sequence[str]]:
        return {**self.verdict.wrongs, "not recovered, or not finished, in time": self.trouble}

    @property
    def clean(self) -> bool:
        return not any(self.wrongs.values())


def run(cluster: Cluster, times: int, seed: int, say: Say) -> Report:
    """Rounds of one fault of each kind, in random order, up to one that is not recovered from."""
    began = time.monotonic()
    rng = random.Random(seed)
    recoveries: dict[Kind, list[Recovery]] = defaultdict(list)
    trouble: list[str] = []
    with Load(cluster.url, cluster.token, seed) as load:
        try:
            eventually(lambda: load.acknowledged > 100, within=ACCEPTS_WITHIN)
            for kind in _order(times, rng):
                recovery = _survive(kind, cluster, load, rng)
                recoveries[kind].append(recovery)
                say(_progress(kind, recovery, recoveries, times, load, time.monotonic() - began))
        except AssertionError as error:  # the rest can be judged all the same
            trouble.append(str(error))
            say(f"ends here: {error}")
    seconds = time.monotonic() - began
    say("the load has ended; everything comes to rest")
    restarts = sum(process.restarts for process in cluster.processes())
    trouble += _come_to_rest(cluster)
    records, stored = log.records(cluster.bootstrap_servers), store.read(cluster.database_url)
    say(f"checking {len(load.told)} commands and {len(records)} records")
    verdict = check(load.told, records, stored)
    return Report(verdict, recoveries, restarts, seconds, trouble)


def _order(times: int, rng: random.Random) -> Iterator[Kind]:
    for _ in range(times):
        yield from rng.sample(list(Kind), len(Kind))


def _survive(kind: Kind, cluster: Cluster, load: Load, rng: random.Random) -> Recovery:
    load.people.era += 1
    start = len(load.told)
    at = inflict(kind, cluster, rng)

    def accepts() -> bool:
        load.check()
        return load.first_acknowledged(at, start) is not None

    eventually(accepts, within=ACCEPTS_WITHIN)
    eventually(cluster.is_up, within=_UP_WITHIN)
    first = load.first_acknowledged(at, start)
    assert first is not None
    return Recovery(first.ended - at, load.longest_pause(at, start))


def _come_to_rest(cluster: Cluster) -> list[str]:
    """Let everything that is under way end; what does not, in time."""
    cluster.gateway.stop()
    left: list[str] = []

    def rests() -> bool:
        left[:] = _under_way(cluster)
        return not left

    with suppress(AssertionError):
        eventually(rests, within=_RESTS_WITHIN)
    for replica in cluster.replicas:
        replica.process.stop()
    return left or _under_way(cluster)


def _under_way(cluster: Cluster) -> list[str]:
    try:
        reached, unsettled = store.reached(cluster.database_url)
        ends = log.ends(cluster.bootstrap_servers)
    except (KafkaException, psycopg2.OperationalError) as error:  # a moment after their start
        return [f"cannot be read: {error}"]
    behind = [
        f"partition {partition} is projected up to {reached.get(partition, 0)} of {end}"
        for partition, end in ends.items()
        if reached.get(partition, 0) != end
    ]
    return behind + [f"unsettled: {admission}" for admission in unsettled]


def _progress(
    kind: Kind,
    recovery: Recovery,
    recoveries: Mapping[Kind, list[Recovery]],
    times: int,
    load: Load,
    seconds: float,
) -> str:
    done = sum(map(len, recoveries.values()))
    left = seconds / done * (times * len(Kind) - done)
    return (
        f"{kind.value:<54}{len(recoveries[kind]):>3} of {times}"
        f"  accepts after {recovery.accepts:5.2f} s"
        f"  acknowledged {load.acknowledged}  about {left / 60:.0f} min left"
    )


def summary(report: Report) -> Iterator[str]:
    """The tables at the end, line by line."""
    verdict = report.verdict
    yield f"{'fault':<54}{'times':>6}{'accepts: median':>17}{'max':>9}{'longest pause':>15}"
    for kind in (kind for kind in Kind if kind in report.recoveries):
        accepts = [r.accepts for r in report.recoveries[kind]]
        pause = max(r.pause for r in report.recoveries[kind])
        yield (
            f"{kind.value:<54}{len(accepts):>6}{median(accepts):>15.2f} s"
            f"{max(accepts):>7.2f} s{pause:>13.2f} s"
        )
    yield f"{report.restarts} restarts in {report.seconds:.0f} s under load"
    yield ""
    yield f"{'acknowledged':<44}{verdict.acknowledged:>9}"
    yield f"{'  of them rightly changed nothing':<44}{verdict.unchanged:>9}"
    yield f"{'  in the log, with the version told':<44}{verdict.in_log:>9}"
    yield f"{'second copies dropped':<44}{verdict.copies:>9}"
    for figure, wrongs in report.wrongs.items():
        yield f"{figure:<44}{len(wrongs):>9}"
    for figure, wrongs in report.wrongs.items():
        for wrong in wrongs[:10]:
            yield f"  {figure}: {wrong}"
