"""A few faults under load, on Apache Kafka; `make chaos` inflicts all of them for minutes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import campaign, cluster
from chaos.cluster import Cluster
from chaos.kinds import Kind
from e2e.addresses import environment, ports_of
from faults import needing

from rollcall_local.home import Home
from rollcall_local.services import MAIL, SLACK, USERS

_SEED = 1
_REPLICAS = {USERS: 2, MAIL: 2, SLACK: 1}
# As many as there are ways to inject records: each comes once.
_FAULTS = (
    Kind.KILL_MAIL,
    Kind.MAIL_DISCONNECTS,
    Kind.RESTART_POSTGRES,
    Kind.SLACK_BROKEN,
    Kind.REMOVE,
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    needing.apache_kafka()
    home = Home(tmp_path / "state")
    with cluster.running(home, ports_of(environment(home.root)), _REPLICAS) as running:
        yield running


def test_nothing_is_missing_and_repeated_is_only_what_was_in_flight(running: Cluster) -> None:
    report = campaign.run(running, iter(_FAULTS), _SEED, say=lambda _: None)
    assert {figure: wrongs for figure, wrongs in report.wrongs.items() if wrongs} == {}
    assert {kind: len(times) for kind, times in report.recoveries.items()} == dict.fromkeys(
        _FAULTS, 1
    )
    counts = report.verdict.counts
    assert counts["events"] > 50
    assert counts["records rejected"] == counts["records injected to be rejected"] == 3
    for group in running.groups:
        assert counts[f"{group}: parked roots"] == counts[f"{group}: roots injected"] == 1
        assert counts[f"{group}: held behind"] > 0
