"""What alerts and dashboards read is what the services of a running platform show."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from e2e.local_platform import Platform
from e2e.people import create, seen
from e2e.waiting import eventually
from observability.queries import OF_PROMETHEUS, Query, queries
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from rollcall_local.services import SERVICES, management_port

_SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("", "_sum", "_count"),
}
_WITHIN = 30.0  # seconds

Shown = Mapping[str, set[str]]  # names of samples → the labels of those that there are


def scraped(platform: Platform) -> dict[str, list[Metric]]:
    """Of every replica by its id, from the management port that Prometheus is told of."""
    first = platform.ports["MANAGEMENT_PORT"]
    found = {}
    for service in SERVICES.values():
        for number in range(1, service.replicas + 1):
            url = f"http://127.0.0.1:{management_port(service, number, first)}/metrics"
            text = httpx.get(url, timeout=10).raise_for_status().text
            found[service.replica(number)] = list(text_string_to_metric_families(text))
    return found


def names(metric: Metric) -> set[str]:
    return {metric.name + suffix for suffix in _SUFFIXES.get(metric.type, ("",))}


@pytest.fixture(scope="module")
def shown(platform: Platform, api: httpx.Client) -> Shown:
    """After a request that is right, one that is refused, and the mail that came of it."""
    created = create(api, "ada")
    assert api.post("/v1/users", json=created.json() | {"id": None}).status_code == 422
    again = api.post("/v1/users", json={"email": created.json()["email"], "name": "Ada"})
    assert again.status_code == 409
    assert api.get(f"/v1/users/{created.json()['id']}", headers=seen(created)).status_code == 200

    def sent() -> bool:
        metrics = scraped(platform)["email-notification-1"]
        samples = [s for m in metrics if m.name == "rollcall_deliveries" for s in m.samples]
        return any(s.labels["outcome"] == "sent" for s in samples if s.name.endswith("_total"))

    eventually(sent, within=_WITHIN)
    labels: dict[str, set[str]] = {}
    for metrics in scraped(platform).values():
        for metric in metrics:
            for name in names(metric):
                labels.setdefault(name, set())
            for sample in metric.samples:
                labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.where)
def test_a_query_reads_what_there_is(query: Query, shown: Shown) -> None:
    for name, labels in query.reads().items():
        if name not in OF_PROMETHEUS:
            assert {name} - shown.keys() == set()
            assert labels - shown[name] == set(), name


def of(metrics: list[Metric], name: str) -> list[Any]:
    return [s for m in metrics for s in m.samples if s.name == name]


def test_every_replica_shows_what_it_holds(platform: Platform) -> None:
    def in_sum() -> None:
        found = scraped(platform)
        for service in SERVICES.values():
            if service.group is None:
                continue
            replicas = [found[service.replica(n)] for n in range(1, service.replicas + 1)]
            held = [s for r in replicas for s in of(r, "rollcall_consumer_partitions")]
            assert {s.labels["group"] for s in held} == {service.group}
            assert sum(s.value for s in held) == 50
            for replica in replicas:
                for name in ("rollcall_consumer_lag_records", "rollcall_consumer_lag_seconds"):
                    assert len(of(replica, name)) == 1
                assert [s.value for s in of(replica, "rollcall_consumer_running")] == [1.0]

    eventually(in_sum, within=_WITHIN)


def test_commands_and_messages_are_counted(
    platform: Platform, api: httpx.Client, shown: Shown
) -> None:
    def counted() -> dict[str, float]:
        metrics = [metric for replica in scraped(platform).values() for metric in replica]
        samples = {
            "created": [
                s
                for s in of(metrics, "rpc_server_call_duration_seconds_count")
                if s.labels["rpc_method"].endswith("/CreateUser")
                and s.labels["rpc_response_status_code"] == "OK"
            ],
            "sent": of(metrics, "messaging_client_sent_messages_total"),
            "grouped": of(metrics, "rollcall_admission_group_size_sum"),
            **{
                group: [
                    s
                    for s in of(metrics, "messaging_client_consumed_messages_total")
                    if s.labels["messaging_consumer_group_name"] == group
                ]
                for group in ("user-management", "email-notification", "slack-notification")
            },
        }
        return {name: sum(s.value for s in found) for name, found in samples.items()}

    before = counted()
    for _ in range(3):
        create(api, "ada")

    def all_counted() -> None:
        grown = {name: value - before[name] for name, value in counted().items()}
        assert grown == dict.fromkeys(grown, 3.0)

    eventually(all_counted, within=_WITHIN)


def test_no_series_names_a_person_or_grows_with_them(shown: Shown) -> None:
    known = {"method", "route", "status", "code", "reason", "group", "outcome", "kind", "state"}
    known |= {"what", "le", "rpc_method", "rpc_response_status_code", "error_type"}
    known |= {"messaging_operation_name", "messaging_destination_name"}
    known |= {"messaging_consumer_group_name"}
    ours = {name for name in shown if name.startswith(("rollcall_", "rpc_", "messaging_"))}
    assert {label for name in ours for label in shown[name]} <= known
