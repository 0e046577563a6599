"""Only the arrows of the design may be drawn on the network, and those that operate them."""

from copy import deepcopy

import pytest
from manifests.reach import Peer, allowed, isolated, services, to_anywhere
from manifests.rendered import OVERLAYS, SERVICES, Manifest, build, of_kind, one

CONSUMERS = SERVICES[1:]
CLIENT = Peer("client", {}, {"rollcall-clients": "true"})
OPERATOR = Peer("operator", {}, {"rollcall-operators": "true"})
PROMETHEUS = Peer("prometheus", {}, {"kubernetes.io/metadata.name": "monitoring"})
KEDA = Peer("keda", {}, {"kubernetes.io/metadata.name": "keda"})
CNPG = Peer("cnpg", {}, {"kubernetes.io/metadata.name": "cnpg-system"})
STRANGER = Peer("stranger", {}, {"kubernetes.io/metadata.name": "default"})
NEIGHBOUR = Peer("neighbour", {}, ports={"http": 80})  # somebody else's pod in the namespace
DNS = Peer(
    "dns", {"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"}, {"dns": 53}
)
OUTSIDE = [CLIENT, OPERATOR, PROMETHEUS, KEDA, CNPG, STRANGER, NEIGHBOUR, DNS]
# The operators' pods.
KAFKA = Peer("kafka", {"strimzi.io/cluster": "kafka"}, ports={"services": 9093})
EXPORTER_LABELS = {"strimzi.io/cluster": "kafka", "strimzi.io/name": "kafka-kafka-exporter"}
EXPORTER = Peer("exporter", EXPORTER_LABELS, ports={"tcp-prometheus": 9404})
POSTGRES_PORTS = {"postgres": 5432, "metrics": 9187, "status": 8000}
POSTGRES = Peer("postgres", {"cnpg.io/cluster": "postgres"}, ports=POSTGRES_PORTS)

EVERYWHERE = {
    ("client", "gateway", 8080),
    ("gateway", "user-management", 50051),
    *(("operator", name, 50051) for name in CONSUMERS),
    *(("prometheus", name, 8081) for name in SERVICES),
    *((name, "dns", 53) for name in (*SERVICES, "neighbour")),
    *((name, "postgres", 5432) for name in CONSUMERS),
}
ARROWS = {
    "dev": EVERYWHERE
    | {(name, "kafka", 9092) for name in CONSUMERS}
    | {("email-notification", "mailpit", 1025)}
    | {(name, "dns", 53) for name in ("kafka", "postgres", "mailpit")},
    "production": EVERYWHERE
    | {(name, "kafka", 9093) for name in CONSUMERS}
    | {("keda", "kafka", 9093), ("exporter", "kafka", 9093), ("prometheus", "exporter", 9404)}
    | {("cnpg", "postgres", 5432), ("cnpg", "postgres", 8000), ("prometheus", "postgres", 9187)}
    | {(name, "dns", 53) for name in ("kafka", "exporter", "postgres")},
}
OPERATED = {"dev": [], "production": [KAFKA, EXPORTER, POSTGRES]}
# Mail, Slack, and for operated pods the Kubernetes API: policies know no host names.
WORLD = {
    "email-notification": {25, 465, 587},
    "slack-notification": {443},
    "kafka": {443, 6443},
    "exporter": {443, 6443},
    "postgres": {443, 6443},
}


def policies(overlay: str) -> list[Manifest]:
    """The manifests', and those that Strimzi makes of its listener's clients."""
    manifests = build(overlay)
    found: list[Manifest] = of_kind(manifests, "NetworkPolicy")
    for kafka in of_kind(manifests, "Kafka"):
        (listener,) = kafka["spec"]["kafka"]["listeners"]
        itself = {"podSelector": {"matchLabels": {"strimzi.io/cluster": "kafka"}}}
        rule = {
            "from": [*listener["networkPolicyPeers"], itself],
            "ports": [{"port": listener["port"]}],
        }
        spec = {**itself, "policyTypes": ["Ingress"], "ingress": [rule]}
        found.append({"kind": "NetworkPolicy", "spec": spec})
    return found


def peers(overlay: str) -> list[Peer]:
    return [*services(build(overlay)), *OPERATED[overlay], *OUTSIDE]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_else_is_reached(overlay: str) -> None:
    assert isolated(build(overlay))
    assert allowed(policies(overlay), peers(overlay)) == ARROWS[overlay]


def test_only_mail_slack_and_operated_pods_go_anywhere() -> None:
    found = {p.name: to_anywhere(policies("production"), p) for p in peers("production")}
    assert {name: ports for name, ports in found.items() if ports} == WORLD


def test_one_policy_too_many_or_too_few_is_noticed() -> None:
    complete = policies("production")
    without = [p for p in complete if p.get("metadata", {}).get("name") != "user-management"]
    missing = ("gateway", "user-management", 50051)
    assert allowed(without, peers("production")) == ARROWS["production"] - {missing}
    open_door = deepcopy(one(build("production"), "NetworkPolicy", "gateway"))
    del open_door["spec"]["ingress"][0]["from"]
    assert ("stranger", "gateway", 8080) in allowed([*complete, open_door], peers("production"))
