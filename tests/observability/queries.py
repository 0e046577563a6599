"""The queries of alerts and dashboards, and what each of them reads."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"
RULES = FOLDER / "rules" / "rollcall.yaml"
DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
OF_PROMETHEUS = {"up"}  # what it makes of every target itself

_OF_TARGETS = {"instance", "job", "pod", "service", "app_kubernetes_io_name"}  # labels of theirs


@dataclass(frozen=True)
class Query:
    """where: whose it is."""

    where: str
    text: str

    def reads(self) -> dict[str, set[str]]:
        """Names of samples, each with the labels that the query expects of it: those it selects by,
        and those that what it is in aggregates by. Raises ValueError for what is no PromQL."""
        text = self.text.replace("$__rate_interval", "1m")
        found: dict[str, set[str]] = {}
        groups: list[set[str]] = []

        def enter(node: promql.Expr) -> None:
            if isinstance(node, promql.AggregateExpr):
                by = node.modifier and node.modifier.type == promql.AggModifierType.By
                groups.append(set(node.modifier.labels) if by and node.modifier else set())
            if isinstance(node, promql.VectorSelector):
                selected = {matcher.name for matcher in node.matchers.matchers}
                labels = selected.union(*groups) - _OF_TARGETS
                found.setdefault(str(node.name), set()).update(labels)

        def leave(node: promql.Expr) -> None:
            if isinstance(node, promql.AggregateExpr):
                groups.pop()

        promql.walk(promql.parse(text), enter, leave)
        return found


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels(dashboard: Path) -> list[dict[str, Any]]:
    """Those that show something."""
    document = json.loads(dashboard.read_text())
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def queries() -> list[Query]:
    of_alerts = [Query(f"the alert {alert['alert']}", alert["expr"]) for alert in alerts()]
    return of_alerts + [
        Query(f"the panel {panel['title']} of {dashboard.name}", target["expr"])
        for dashboard in DASHBOARDS
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]
