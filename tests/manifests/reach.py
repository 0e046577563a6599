"""Who may speak to whom, worked out of the network policies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from manifests.rendered import Manifest, Manifests, of_kind, pod_spec, workloads

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Peer:
    """A kind of pod. namespace: the labels of another namespace than the platform's, where it is
    in one. ports: what it listens on, by name where it has one."""

    name: str
    labels: Labels
    namespace: Labels | None = None
    ports: Mapping[str, int] = field(default_factory=dict)


def services(manifests: Manifests) -> list[Peer]:
    """Those whose pods the manifests describe."""
    found = []
    for workload in workloads(manifests):
        ports = [p for c in pod_spec(workload)["containers"] for p in c.get("ports", ())]
        labels = workload["spec"]["template"]["metadata"]["labels"]
        listens = {p["name"]: p["containerPort"] for p in ports}
        found.append(Peer(workload["metadata"]["name"], labels, ports=listens))
    return found


def allowed(policies: list[Manifest], peers: list[Peer]) -> set[tuple[str, str, int]]:
    """(from, to, port) of all that may connect, at least one of them in the namespace."""
    return {
        (one.name, other.name, number)
        for one, other in product(peers, peers)
        if one is not other and None in (one.namespace, other.namespace)
        for name, number in other.ports.items()
        if _passes(policies, "egress", one, other, (name, number))
        and _passes(policies, "ingress", other, one, (name, number))
    }


def to_anywhere(policies: list[Manifest], peer: Peer) -> set[int]:
    """The ports on which the pod may connect to any address in the world."""
    return {
        port["port"]
        for policy in _of(policies, "egress", peer)
        for rule in policy.get("egress", ())
        if "to" not in rule
        for port in rule.get("ports", ())
    }


def isolated(manifests: Manifests) -> bool:
    """Whether what is not allowed is denied, for every pod of the namespace."""
    specs = [p["spec"] for p in of_kind(manifests, "NetworkPolicy")]
    return {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in specs


def _of(policies: list[Manifest], direction: str, peer: Peer) -> list[dict[str, Any]]:
    specs = [policy["spec"] for policy in policies]
    return [
        spec
        for spec in specs
        if direction.capitalize() in spec["policyTypes"]
        and _selects(spec["podSelector"], peer.labels)
    ]


def _passes(
    policies: list[Manifest], direction: str, own: Peer, other: Peer, port: tuple[str, int]
) -> bool:
    """Whether `own`, if it is in the platform's namespace, may exchange with `other`."""
    if own.namespace is not None:
        return True
    side = "to" if direction == "egress" else "from"
    return any(
        _names(rule.get(side), other) and _covers(rule.get("ports"), port)
        for spec in _of(policies, direction, own)
        for rule in spec.get(direction, ())
    )


def _names(peers: list[dict[str, Any]] | None, other: Peer) -> bool:
    return peers is None or any(
        _selects(peer.get("podSelector", {}), other.labels)
        and (
            _selects(peer["namespaceSelector"], other.namespace or {})
            if "namespaceSelector" in peer
            else other.namespace is None
        )
        for peer in peers
    )


def _selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    assert selector.keys() <= {"matchLabels"}, "only matchLabels is understood here"
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def _covers(ports: list[dict[str, Any]] | None, port: tuple[str, int]) -> bool:
    return ports is None or any(p["port"] in port for p in ports)
