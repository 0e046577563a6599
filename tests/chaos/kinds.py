"""The faults: what is done to a cluster, and for how long."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from signal import SIGCONT, SIGKILL, SIGSTOP

import psycopg2
from chaos import groups
from chaos.accepted import Answer, Script
from chaos.cluster import REPLICAS, Cluster, Replica
from e2e.waiting import eventually
from faults.processes import Kept

from rollcall_local.services import MAIL, SLACK, USERS

_GONE_WITHIN = 30.0  # seconds until what is killed, or asked to end, is gone
_READ_WITHIN = 30.0  # seconds until Postgres answers again
_BUSY_WITHIN = 20.0  # seconds until somebody has a message in hand
_STALL = (8.0, 20.0)  # seconds: past the group's patience of 6, and some past a lease of 15
_GATEWAY_STALL = (3.0, 6.0)
_MOST = 2  # replicas more than at first


class Kind(Enum):
    KILL_USERS = "kill -9 of a user-management"
    KILL_MAIL = "kill -9 of an email-notification"
    KILL_SLACK = "kill -9 of a slack-notification"
    KILL_GATEWAY = "kill -9 of the gateway"
    STALL_USERS = "SIGSTOP of a user-management"
    STALL_MAIL = "SIGSTOP of an email-notification"
    STALL_SLACK = "SIGSTOP of a slack-notification"
    STALL_GATEWAY = "SIGSTOP of the gateway"
    RESTART_USERS = "restart of a user-management"
    RESTART_MAIL = "restart of an email-notification"
    RESTART_SLACK = "restart of a slack-notification"
    RESTART_GATEWAY = "restart of the gateway"
    RESTART_KAFKA = "restart of Kafka"
    RESTART_POSTGRES = "restart of Postgres"
    STALL_KAFKA = "SIGSTOP of Kafka"
    STALL_POSTGRES = "SIGSTOP of Postgres"
    ADD = "a replica more of each service"
    REMOVE = "a replica less of each service"
    MAIL_LATER = "SMTP answers 4xx"
    MAIL_NEVER = "SMTP answers 5xx"
    MAIL_HANGS = "SMTP hangs"
    MAIL_DISCONNECTS = "SMTP disconnects"
    SLACK_LATER = "Slack answers 429"
    SLACK_BROKEN = "Slack answers 500"


@dataclass
class Fault:
    """One that has begun. in_flight: messages in the hand of a sender that it took away, once for
    each time. provider: the notifier whose provider answers otherwise. ended: when it is over;
    `over` says when that was, as `began` does in time.monotonic."""

    began: float
    in_flight: Counter[str] = field(default_factory=Counter)
    provider: str | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    over: float = 0.0

    def end(self) -> None:
        self.over = time.monotonic()
        self.ended.set()

    def lasts(self, seconds: float, undo: Callable[[], None]) -> None:
        """Undo it after so long, meanwhile the caller goes on."""

        def end() -> None:
            undo()
            self.end()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()


Inflict = Callable[[Cluster, random.Random], Fault]


def inflict(kind: Kind, cluster: Cluster, rng: random.Random) -> Fault:
    return _INFLICT[kind](cluster, rng)


def _kill(service: str, cluster: Cluster, rng: random.Random) -> Fault:
    with _victim(service, cluster, rng) as replica:
        fault = _ended(replica.process, lambda: replica.process.send(SIGKILL))
        _note(fault, cluster, service, replica)
    return fault


def _restart(service: str, cluster: Cluster, rng: random.Random) -> Fault:
    with _victim(service, cluster, rng) as replica:
        fault = _ended(replica.process, replica.process.end)
        _note(fault, cluster, service, replica)
    return fault


@contextmanager
def _victim(service: str, cluster: Cluster, rng: random.Random) -> Iterator[Replica]:
    """A replica; of a notifier one that has messages in hand, which its provider keeps there."""
    replicas = cluster.groups[service].replicas
    script = _scripts(cluster).get(service)
    if script is None:
        yield rng.choice(replicas)
        return
    script.answers = Answer.SLOW
    try:
        yield rng.choice(eventually(lambda: _busy(cluster, service), within=_BUSY_WITHIN))
    finally:
        script.answers = Answer.FINE


def _busy(cluster: Cluster, service: str) -> list[Replica]:
    replicas = cluster.groups[service].replicas
    return [r for r in replicas if _in_flight(cluster, service, f"{r.name}/")]


def _scripts(cluster: Cluster) -> Mapping[str, Script]:
    return {MAIL: cluster.providers.mail, SLACK: cluster.providers.slack}


def _kill_gateway(cluster: Cluster, rng: random.Random) -> Fault:
    return _ended(cluster.gateway, lambda: cluster.gateway.send(SIGKILL))


def _restart_gateway(cluster: Cluster, rng: random.Random) -> Fault:
    return _ended(cluster.gateway, cluster.gateway.end)


def _restart_kafka(cluster: Cluster, rng: random.Random) -> Fault:
    return _ended(cluster.kafka, cluster.kafka.end)


def _restart_postgres(cluster: Cluster, rng: random.Random) -> Fault:
    unrecorded = _unrecorded(cluster)
    fault = _ended(cluster.postgres, cluster.postgres.end)
    fault.in_flight.update(unrecorded())
    return fault


def _stall_kafka(cluster: Cluster, rng: random.Random) -> Fault:
    return _halted(cluster.kafka, rng.uniform(*_STALL))


def _halted(process: Kept, seconds: float) -> Fault:
    fault = Fault(time.monotonic())
    process.send_all(SIGSTOP)
    fault.lasts(seconds, partial(process.send_all, SIGCONT))
    return fault


def _stall_postgres(cluster: Cluster, rng: random.Random) -> Fault:
    """As with its restart; and leases end, so that one replica sends what another has sent."""
    unrecorded = _unrecorded(cluster)
    fault = Fault(time.monotonic())
    cluster.postgres.send_all(SIGSTOP)

    def undo() -> None:
        cluster.postgres.send_all(SIGCONT)
        fault.in_flight.update(unrecorded())

    fault.lasts(rng.uniform(*_STALL), undo)
    return fault


def _unrecorded(cluster: Cluster) -> Callable[[], Counter[str]]:
    """Asked before Postgres goes, and answered when it is back: the messages of which nothing could
    be recorded meanwhile. In hand before or after, or taken in by a provider in between: those may
    have been handed out after the first look, and again before the second."""
    scripts = _scripts(cluster)
    before = {s: groups.in_flight(cluster.database_url, s) for s in scripts}
    taken_in = {s: len(script.accepted) for s, script in scripts.items()}

    def messages() -> Counter[str]:
        found: Counter[str] = Counter()
        for service, script in scripts.items():
            between = {accepted.message for accepted in script.accepted[taken_in[service] :]}
            found.update(before[service] | between | _in_flight(cluster, service))
        return found

    return messages


def _ended(process: Kept, end: Callable[[], None]) -> Fault:
    lives = process.restarts
    end()
    eventually(lambda: process.restarts > lives, within=_GONE_WITHIN)
    fault = Fault(process.ended_at)
    fault.end()
    return fault


def _stall(service: str, cluster: Cluster, rng: random.Random) -> Fault:
    with _victim(service, cluster, rng) as replica:
        fault = Fault(time.monotonic())
        replica.process.send(SIGSTOP)
        fault.lasts(rng.uniform(*_STALL), lambda: replica.process.send(SIGCONT))
        _note(fault, cluster, service, replica)
    return fault


def _stall_gateway(cluster: Cluster, rng: random.Random) -> Fault:
    return _halted(cluster.gateway, rng.uniform(*_GATEWAY_STALL))


def _add(cluster: Cluster, rng: random.Random) -> Fault:
    fault = Fault(time.monotonic())
    for name, group in cluster.groups.items():
        if len(group.replicas) < REPLICAS[name] + _MOST:
            group.add()
    fault.end()
    return fault


def _remove(cluster: Cluster, rng: random.Random) -> Fault:
    fault = Fault(time.monotonic())
    for service, group in cluster.groups.items():
        if len(group.replicas) > 1:
            _note(fault, cluster, service, group.remove())
    fault.end()
    return fault


def _answers(
    service: str, answer: Answer, seconds: float, cluster: Cluster, rng: random.Random
) -> Fault:
    script = _scripts(cluster)[service]
    fault = Fault(time.monotonic(), provider=service)
    script.answers = answer

    def mend() -> None:
        script.answers = Answer.FINE

    fault.lasts(seconds, mend)
    return fault


def _note(fault: Fault, cluster: Cluster, service: str, replica: Replica) -> None:
    """What a sender had in hand when it was taken away is still leased to it."""
    if service in groups.NOTIFIERS:
        fault.in_flight.update(_in_flight(cluster, service, f"{replica.name}/"))


def _in_flight(cluster: Cluster, service: str, replica: str = "") -> set[str]:
    found: list[set[str]] = []

    def read() -> bool:
        with suppress(psycopg2.OperationalError):  # Postgres starts
            found.append(groups.in_flight(cluster.database_url, service, replica))
        return bool(found)

    eventually(read, within=_READ_WITHIN)
    return found[0]


_INFLICT: Mapping[Kind, Inflict] = {
    Kind.KILL_USERS: partial(_kill, USERS),
    Kind.KILL_MAIL: partial(_kill, MAIL),
    Kind.KILL_SLACK: partial(_kill, SLACK),
    Kind.KILL_GATEWAY: _kill_gateway,
    Kind.STALL_USERS: partial(_stall, USERS),
    Kind.STALL_MAIL: partial(_stall, MAIL),
    Kind.STALL_SLACK: partial(_stall, SLACK),
    Kind.STALL_GATEWAY: _stall_gateway,
    Kind.RESTART_USERS: partial(_restart, USERS),
    Kind.RESTART_MAIL: partial(_restart, MAIL),
    Kind.RESTART_SLACK: partial(_restart, SLACK),
    Kind.RESTART_GATEWAY: _restart_gateway,
    Kind.RESTART_KAFKA: _restart_kafka,
    Kind.RESTART_POSTGRES: _restart_postgres,
    Kind.STALL_KAFKA: _stall_kafka,
    Kind.STALL_POSTGRES: _stall_postgres,
    Kind.ADD: _add,
    Kind.REMOVE: _remove,
    Kind.MAIL_LATER: partial(_answers, MAIL, Answer.LATER, 5.0),
    Kind.MAIL_NEVER: partial(_answers, MAIL, Answer.NEVER, 2.0),
    Kind.MAIL_HANGS: partial(_answers, MAIL, Answer.HANGS, 11.0),
    Kind.MAIL_DISCONNECTS: partial(_answers, MAIL, Answer.DISCONNECTS, 5.0),
    Kind.SLACK_LATER: partial(_answers, SLACK, Answer.LATER, 5.0),
    Kind.SLACK_BROKEN: partial(_answers, SLACK, Answer.BROKEN, 5.0),
}
