"""Every kind of fault once, under load, on Apache Kafka; `make crash` does it many times."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.addresses import environment, ports_of
from faults import campaign, cluster, needing
from faults.cluster import Cluster
from faults.kinds import Kind

from rollcall_local.home import Home


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    needing.apache_kafka()
    home = Home(tmp_path / "state")
    with cluster.running(home, ports_of(environment(home.root))) as running:
        yield running


def test_nothing_is_lost_doubled_or_contradicted(running: Cluster) -> None:
    report = campaign.run(running, times=1, seed=1, say=lambda _: None)
    assert {kind: len(found) for kind, found in report.recoveries.items()} == dict.fromkeys(Kind, 1)
    verdict = report.verdict
    assert {figure: wrongs for figure, wrongs in report.wrongs.items() if wrongs} == {}
    assert verdict.acknowledged == verdict.in_log + verdict.unchanged
    assert verdict.in_log > 100
