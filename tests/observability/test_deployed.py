"""What deploy/observability says hangs together, and is what Kubernetes is told as well."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests.rendered import build, one
from observability.queries import DASHBOARDS, FOLDER, RULES, Query, alerts, panels

from rollcall_local.ports import DEFAULTS
from rollcall_local.services import SERVICES, management_port

SEVERITIES = {"critical", "warning", "info"}
PROVISIONING = FOLDER / "grafana" / "provisioning"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_kubernetes_has_the_same_rules() -> None:
    assert one(build("production"), "PrometheusRule", "rollcall")["spec"] == read(RULES)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in SEVERITIES
    assert alert["annotations"].keys() == {"summary", "action"}
    assert len(alert["annotations"]["action"]) > 40
    assert alert["alert"].startswith("Rollcall")


def test_the_alerts_cover_what_operators_promised_to_watch() -> None:
    read_by_alerts = {name for a in alerts() for name in Query(a["alert"], a["expr"]).reads()}
    assert read_by_alerts >= {
        "up",
        "rollcall_admission_backlog",
        "rollcall_consumer_lag_seconds",
        "rollcall_gateway_request_duration_seconds_count",
        "rollcall_ledger",
        "rollcall_parked",
    }


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_say_what_they_show_and_do_not_overlap(dashboard: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert max(columns) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_dashboards_ask_sources_that_are_provisioned() -> None:
    sources = read(PROVISIONING / "datasources" / "rollcall.yaml")["datasources"]
    assert {source["uid"]: source["type"] for source in sources} == {
        "prometheus": "prometheus",
        "jaeger": "jaeger",
    }
    for dashboard in DASHBOARDS:
        asked = {panel["datasource"]["uid"] for panel in panels(dashboard)}
        assert asked == {"prometheus"}
    uids = [json.loads(dashboard.read_text())["uid"] for dashboard in DASHBOARDS]
    assert len(uids) == len(set(uids)) == 2


def test_the_collectors_pipeline_is_made_of_what_is_defined() -> None:
    config = read(FOLDER / "collector.yaml")
    (pipeline,) = config["service"]["pipelines"].values()
    assert pipeline["processors"][0] == "memory_limiter"  # first, or it is too late
    for part, names in pipeline.items():
        assert set(names) == config[part].keys()


def test_prometheus_finds_the_rules_and_the_replicas() -> None:
    config = read(FOLDER / "prometheus.yaml")
    rules = [path for pattern in config["rule_files"] for path in FOLDER.glob(pattern)]
    assert rules == [RULES]
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "rollcall"  # which the alert of a replica that is down names
    (pattern,) = job["file_sd_configs"][0]["files"]
    targets = [group for path in FOLDER.glob(pattern) for group in read(path)]
    assert {group["labels"]["service"]: set(group["targets"]) for group in targets} == {
        service.name: {
            f"127.0.0.1:{management_port(service, n, DEFAULTS['MANAGEMENT_PORT'])}"
            for n in range(1, service.replicas + 1)
        }
        for service in SERVICES.values()
    }


def test_a_query_reads_what_it_names() -> None:
    query = Query("", 'sum by (a) (rate(x_total{b="c"}[5m])) / sum(y) > bool max without (i) (z)')
    assert query.reads() == {"x_total": {"a", "b"}, "y": set(), "z": set()}
    with pytest.raises(ValueError, match="unclosed"):
        Query("", "sum(x").reads()
