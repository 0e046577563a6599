"""The manifests keep every rule, and every rule notices what breaks it."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from manifests import policy
from manifests.rendered import OVERLAYS, Manifest, Manifests, build, one, pod_spec
from manifests.schemas import problems

SERVICE = "user-management"
Break = Callable[[Manifest, dict[str, Any]], object]  # of the Deployment and its container


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", policy.RULES, ids=lambda rule: rule.__name__)
def test_the_manifests_keep_the_rule(rule: Callable[[Manifests], list[str]], overlay: str) -> None:
    assert [*rule(build(overlay))] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_and_the_operators_accept_the_manifests(overlay: str) -> None:
    assert [problem for manifest in build(overlay) for problem in problems(manifest)] == []


BROKEN: list[tuple[Callable[[Manifests], Any], Break]] = [
    (policy.restricted, lambda d, c: pod_spec(d)["securityContext"].pop("runAsNonRoot")),
    (policy.restricted, lambda d, c: pod_spec(d)["securityContext"].update(runAsUser=0)),
    (policy.restricted, lambda d, c: pod_spec(d)["securityContext"].pop("seccompProfile")),
    (policy.restricted, lambda d, c: c["securityContext"].pop("allowPrivilegeEscalation")),
    (policy.restricted, lambda d, c: c["securityContext"]["capabilities"].clear()),
    (policy.restricted, lambda d, c: c["securityContext"]["capabilities"].update(add=["NET_RAW"])),
    (policy.restricted, lambda d, c: c["ports"][0].update(hostPort=80)),
    (policy.restricted, lambda d, c: pod_spec(d).update(hostNetwork=True)),
    (policy.restricted, lambda d, c: pod_spec(d)["volumes"].append({"name": "h", "hostPath": {}})),
    (policy.read_only_root, lambda d, c: c["securityContext"].pop("readOnlyRootFilesystem")),
    (policy.read_only_root, lambda d, c: c["volumeMounts"].clear()),
    (policy.no_kubernetes_token, lambda d, c: pod_spec(d).pop("automountServiceAccountToken")),
    (policy.no_service_links, lambda d, c: pod_spec(d).pop("enableServiceLinks")),
    (policy.probes, lambda d, c: c.pop("startupProbe")),
    (policy.resources, lambda d, c: c["resources"].pop("limits")),
    (policy.resources, lambda d, c: c.pop("resources")),
    (policy.tags, lambda d, c: c.update(image="rollcall/user-management")),
    (policy.tags, lambda d, c: c.update(image="localhost:5000/user-management:latest")),
    (policy.no_secret_values, lambda d, c: c["env"].append({"name": "A_TOKEN", "value": "x"})),
    (
        policy.no_secret_values,
        lambda d, c: c["env"].append({"name": "DATABASE_URL", "value": "postgresql://a:b@c/d"}),
    ),
    (policy.disruption, lambda d, c: d["spec"]["selector"]["matchLabels"].update(other="x")),
    (policy.spread, lambda d, c: pod_spec(d)["topologySpreadConstraints"].pop()),
    (policy.rollout, lambda d, c: d["spec"]["strategy"].clear()),
    (policy.rollout, lambda d, c: pod_spec(d).pop("terminationGracePeriodSeconds")),
    (policy.selected, lambda d, c: d["spec"]["template"]["metadata"]["labels"].clear()),
    (policy.selected, lambda d, c: c["ports"].clear()),
]


def broken_by(breaks: Break) -> Manifests:
    manifests = deepcopy(build("production"))
    deployment = one(manifests, "Deployment", SERVICE)
    breaks(deployment, pod_spec(deployment)["containers"][0])
    return manifests


@pytest.mark.parametrize(("rule", "breaks"), BROKEN)
def test_a_rule_notices_what_breaks_it(rule: Callable[[Manifests], Any], breaks: Break) -> None:
    complaints = [*rule(broken_by(breaks))]
    assert complaints
    assert all(SERVICE in complaint for complaint in complaints)


def test_a_secret_and_a_password_in_a_config_map_are_noticed() -> None:
    secret = {"kind": "Secret", "metadata": {"name": "s"}}
    config = {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"DB_PASSWORD": "x"}}
    assert [*policy.no_secret_values((secret, config))] == [
        "Secret/s: a secret",
        "ConfigMap/c: DB_PASSWORD",
    ]


def test_a_namespace_that_enforces_nothing_is_noticed() -> None:
    assert [*policy.restricted(({"kind": "Namespace", "metadata": {"name": "n"}},))]


@pytest.mark.parametrize(
    ("kind", "name", "breaks"),
    [
        ("Deployment", SERVICE, lambda spec: spec.update(replica=3)),
        ("Deployment", SERVICE, lambda spec: spec.pop("selector")),
        ("NetworkPolicy", "dns", lambda spec: spec.update(policyTypes="Egress")),
        ("Kafka", "kafka", lambda spec: spec["kafka"].update(listener=[])),
        ("Kafka", "kafka", lambda spec: spec["kafka"].pop("listeners")),
        ("KafkaTopic", "users", lambda spec: spec.update(partitions="fifty")),
        ("KafkaUser", SERVICE, lambda spec: spec["authentication"].update(type="scram-sha-1")),
        ("ScaledObject", SERVICE, lambda spec: spec.update(maxReplicas=3)),
        ("PodMonitor", "rollcall", lambda spec: spec.pop("selector")),
        ("PrometheusRule", "rollcall", lambda spec: spec["groups"][0].pop("name")),
        ("PrometheusRule", "rollcall", lambda spec: spec["groups"][0]["rules"][0].pop("expr")),
        (
            "Cluster",
            "postgres",
            lambda spec: spec["postgresql"]["synchronous"].update(method="all"),
        ),
        ("ScheduledBackup", "postgres", lambda spec: spec.update(schedule="0 3 * * *")),
    ],
)
def test_a_schema_notices_what_is_not_accepted(
    kind: str, name: str, breaks: Callable[[dict[str, Any]], object]
) -> None:
    manifest = deepcopy(one(build("production"), kind, name))
    assert problems(manifest) == []
    breaks(manifest["spec"])
    assert problems(manifest)


def test_a_kind_that_nobody_knows_is_noticed() -> None:
    assert problems({"apiVersion": "example.org/v1", "kind": "Thing", "spec": {}})
