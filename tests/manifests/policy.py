"""What a platform team would send back: each rule gives a line for each thing that breaks it."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from manifests.rendered import (
    Manifest,
    Manifests,
    containers,
    named,
    of_kind,
    pod_spec,
    walk,
    workloads,
)

_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_HIDDEN = re.compile(r"password|secret|token|credential|private", re.IGNORECASE)
_WITH_PASSWORD = re.compile(r"\w+://[^/\s@]*:[^/\s@]+@")
_KNOWN_VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
    *("persistentVolumeClaim", "projected", "secret"),
}


def restricted(manifests: Manifests) -> Iterator[str]:
    """The pod security standard `restricted`, and that every namespace enforces it."""
    for namespace in of_kind(manifests, "Namespace"):
        labels = namespace["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{named(namespace)}: does not enforce the restricted standard"
    for workload in workloads(manifests):
        for complaint in _pod_complaints(pod_spec(workload)):
            yield f"{named(workload)}: {complaint}"
        for container in containers(workload):
            for complaint in _container_complaints(container, pod_spec(workload)):
                yield f"{named(workload)}: {container['name']}: {complaint}"


def _pod_complaints(spec: dict[str, Any]) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield name
    for volume in spec.get("volumes", ()):
        if unknown := volume.keys() - {"name"} - _KNOWN_VOLUMES:
            yield f"volume {volume['name']} is a {unknown.pop()}"


def _container_complaints(container: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    context = spec.get("securityContext", {}) | own
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
        yield "may run as root"
    if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "has no seccomp profile"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield "may escalate its privileges"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()) or capabilities.get("add"):
        yield "keeps capabilities"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield "has a port of the host"


def read_only_root(manifests: Manifests) -> Iterator[str]:
    """Of our own images, whose only place to write is an emptyDir on /tmp."""
    for workload, container in _ours(manifests):
        if not container.get("securityContext", {}).get("readOnlyRootFilesystem"):
            yield f"{named(workload)}: its root may be written"
        if not any(m["mountPath"] == "/tmp" for m in container.get("volumeMounts", ())):
            yield f"{named(workload)}: has no /tmp"


def no_kubernetes_token(manifests: Manifests) -> Iterator[str]:
    for workload in workloads(manifests):
        if pod_spec(workload).get("automountServiceAccountToken") is not False:
            yield f"{named(workload)}: has a token of the Kubernetes API"


def no_service_links(manifests: Manifests) -> Iterator[str]:
    """Else a Service called kafka makes variables that look like settings: KAFKA_PORT."""
    for workload in workloads(manifests):
        if pod_spec(workload).get("enableServiceLinks") is not False:
            yield f"{named(workload)}: gets variables of Services"


def probes(manifests: Manifests) -> Iterator[str]:
    for workload in workloads(manifests):
        for container in pod_spec(workload)["containers"]:
            if missing := [probe for probe in _PROBES if probe not in container]:
                yield f"{named(workload)}: {container['name']} has no {missing[0]}"


def resources(manifests: Manifests) -> Iterator[str]:
    """Requests and limits of memory and CPU, wherever a pod is described or asked for."""
    for manifest in manifests:
        for path, value in walk(manifest):
            if path.endswith(".resources") and "requests" in value and "storage" in str(value):
                continue  # a volume's
            if path.endswith(".resources"):
                for kind in ("requests", "limits"):
                    if value.get(kind, {}).keys() < {"cpu", "memory"}:
                        yield f"{named(manifest)}: {path} has no {kind} of cpu and memory"
    for workload in workloads(manifests):
        for container in containers(workload):
            if "resources" not in container:
                yield f"{named(workload)}: {container['name']} has no resources"


def tags(manifests: Manifests) -> Iterator[str]:
    for workload in workloads(manifests):
        for container in containers(workload):
            _, _, tag = container["image"].rpartition("/")[2].partition(":")
            if tag in ("", "latest") and "@sha256:" not in container["image"]:
                yield f"{named(workload)}: the image {container['image']} is any version"


def no_secret_values(manifests: Manifests) -> Iterator[str]:
    """Secrets are named, and their values are nowhere."""
    for manifest in manifests:
        if manifest["kind"] == "Secret":
            yield f"{named(manifest)}: a secret"
        if manifest["kind"] == "ConfigMap":
            hidden = filter(_HIDDEN.search, manifest.get("data", {}))
            yield from (f"{named(manifest)}: {name}" for name in hidden)
        for path, value in walk(manifest):
            if isinstance(value, str) and _WITH_PASSWORD.search(value):
                yield f"{named(manifest)}: {path} has a password in an address"
            if path.endswith(".env"):
                given = (v["name"] for v in value if "value" in v and _HIDDEN.search(v["name"]))
                yield from (f"{named(manifest)}: {name} has a value" for name in given)


def disruption(manifests: Manifests) -> Iterator[str]:
    """One replica at a time goes for maintenance; one that is not ready anyhow does not count."""
    budgets = of_kind(manifests, "PodDisruptionBudget")
    for workload in {named(w): w for w, _ in _ours(manifests)}.values():
        selector = workload["spec"]["selector"]
        (budget,) = [b["spec"] for b in budgets if b["spec"]["selector"] == selector] or [{}]
        if budget.get("maxUnavailable") != 1:
            yield f"{named(workload)}: no budget lets one replica go"
        if budget.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{named(workload)}: one that is not ready holds up maintenance"


def spread(manifests: Manifests) -> Iterator[str]:
    for workload, _ in _ours(manifests):
        over = {c["topologyKey"] for c in pod_spec(workload).get("topologySpreadConstraints", ())}
        if over != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield f"{named(workload)}: is not spread over zones and nodes"


def rollout(manifests: Manifests) -> Iterator[str]:
    """A new replica is there before an old one goes, which has time to finish."""
    for workload, _ in _ours(manifests):
        rolling = workload["spec"].get("strategy", {}).get("rollingUpdate", {})
        if rolling != {"maxSurge": 1, "maxUnavailable": 0}:
            yield f"{named(workload)}: is not rolled out one by one"
        if "terminationGracePeriodSeconds" not in pod_spec(workload):
            yield f"{named(workload)}: does not say how long a stop may take"


def selected(manifests: Manifests) -> Iterator[str]:
    """Selectors find pods, and Services and probes find their ports."""
    pods = [(w["spec"]["template"]["metadata"]["labels"], w) for w in workloads(manifests)]
    for service in of_kind(manifests, "Service"):
        selector = service["spec"]["selector"]
        found = [w for labels, w in pods if selector.items() <= labels.items()]
        if len(found) != 1:
            yield f"{named(service)}: selects {len(found)} workloads"
        ports = {p["name"] for w in found for c in containers(w) for p in c.get("ports", ())}
        for port in service["spec"]["ports"]:
            if port.get("targetPort", port["name"]) not in ports:
                yield f"{named(service)}: no container has the port {port['name']}"
    for workload in workloads(manifests):
        for container in containers(workload):
            ports = {port["name"] for port in container.get("ports", ())}
            asked = {container.get(probe, {}).get("httpGet", {}).get("port") for probe in _PROBES}
            if unknown := asked - ports - {None}:
                yield f"{named(workload)}: {container['name']} has no port {unknown.pop()}"


def _ours(manifests: Iterable[Manifest]) -> Iterator[tuple[Manifest, dict[str, Any]]]:
    for workload in workloads(manifests):
        for container in containers(workload):
            if container["image"].startswith("rollcall/"):
                yield workload, container


RULES: tuple[Callable[[Manifests], Iterator[str]], ...] = (
    restricted,
    read_only_root,
    no_kubernetes_token,
    no_service_links,
    probes,
    resources,
    tags,
    no_secret_values,
    disruption,
    spread,
    rollout,
    selected,
)
