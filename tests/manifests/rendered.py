"""deploy/kubernetes as kubectl builds it."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("dev", "production")
SERVICES = ("gateway", "user-management", "email-notification", "slack-notification")
_RUNS_PODS = ("Deployment", "StatefulSet", "DaemonSet", "Job")

Manifest = dict[str, Any]
Manifests = tuple[Manifest, ...]


@cache
def build(overlay: str) -> Manifests:
    """What would be applied. Raises CalledProcessError, whose output says what is wrong."""
    kubectl = Path(sys.executable).parent / "kubectl"
    argv = [str(kubectl), "kustomize", str(KUBERNETES / "overlays" / overlay)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return tuple(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


def of_kind(manifests: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    return [m for m in manifests if m["kind"] in kinds]


def one(manifests: Iterable[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [m for m in of_kind(manifests, kind) if m["metadata"]["name"] == name]
    return found


def workloads(manifests: Iterable[Manifest]) -> list[Manifest]:
    return of_kind(manifests, *_RUNS_PODS)


def pod_spec(workload: Manifest) -> dict[str, Any]:
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Manifest) -> list[dict[str, Any]]:
    spec = pod_spec(workload)
    return [*spec["containers"], *spec.get("initContainers", ())]


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value below, with the path to it."""
    yield path, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from walk(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from walk(inner, f"{path}[{index}]")
