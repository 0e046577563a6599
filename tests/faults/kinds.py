"""The faults: what is done to a cluster, and when it happened."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals

from e2e.waiting import eventually
from faults.cluster import Cluster, Replica
from faults.failpoints import Point
from faults.processes import Kept

_MET_WITHIN = 60.0  # seconds until a replica under load comes by a point
_STALL = (7.0, 12.0)  # seconds: past recovery, and past the group's patience with a member


class Kind(Enum):
    APPEND = f"kill -9 {Point.APPEND.value}"
    MARK = f"kill -9 {Point.MARK.value}"
    APPLIED = f"kill -9 {Point.APPLIED.value}"
    STALL = "SIGSTOP past recovery, SIGCONT"
    KAFKA = "kill -9 of Kafka"
    POSTGRES = "kill -9 of Postgres"


def inflict(kind: Kind, cluster: Cluster, rng: random.Random) -> float:
    """Do it; the moment when it began (time.monotonic). What was stalled goes on again."""
    return _INFLICT[kind](cluster, rng)


def _kill_at(point: Point, cluster: Cluster, rng: random.Random) -> float:
    replica = _victim(cluster, rng)
    lives = replica.process.restarts
    _meet(replica, point, SIGKILL)
    eventually(lambda: replica.process.restarts > lives, within=_MET_WITHIN)
    return replica.process.ended_at


def _stall(cluster: Cluster, rng: random.Random) -> float:
    """At a point, so that it goes on with a step that others have taken meanwhile."""
    replica = _victim(cluster, rng)
    _meet(replica, rng.choice(list(Point)), SIGSTOP)
    began = time.monotonic()
    threading.Event().wait(rng.uniform(*_STALL))
    replica.process.send(SIGCONT)
    return began


def _kill(victim: Callable[[Cluster], Kept], cluster: Cluster, rng: random.Random) -> float:
    process = victim(cluster)
    lives = process.restarts
    process.send(SIGKILL)
    eventually(lambda: process.restarts > lives, within=_MET_WITHIN)
    return process.ended_at


def _victim(cluster: Cluster, rng: random.Random) -> Replica:
    """One that projects, if any does: after a death the group needs seconds to go on."""
    replicas = [replica for replica in cluster.replicas if replica.has_partitions()]
    return rng.choice(replicas or cluster.replicas)


def _meet(replica: Replica, point: Point, signal: Signals) -> None:
    replica.arm(point, signal)
    eventually(lambda: _require_met(replica, point), within=_MET_WITHIN)


def _require_met(replica: Replica, point: Point) -> None:
    assert not replica.is_armed(point), f"a replica under load does not come by: {point.value}"


_INFLICT: Mapping[Kind, Callable[[Cluster, random.Random], float]] = {
    Kind.APPEND: partial(_kill_at, Point.APPEND),
    Kind.MARK: partial(_kill_at, Point.MARK),
    Kind.APPLIED: partial(_kill_at, Point.APPLIED),
    Kind.STALL: _stall,
    Kind.KAFKA: partial(_kill, lambda cluster: cluster.kafka),
    Kind.POSTGRES: partial(_kill, lambda cluster: cluster.postgres),
}
