"""Manifests against what the Kubernetes API and the operators accept."""

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from manifests.rendered import Manifest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

# The oldest that deploy/kubernetes/README.md promises, and the newest known here.
VERSIONS = ("1.31", "1.37")
# Of the operators' own definitions, what the manifests use (make crd-schemas); CloudNativePG's,
# which no package brings, by hand from its documentation.
FOLDER = Path(__file__).parent / "schemas"
DERIVED = FOLDER / "derived.json"
BY_HAND = FOLDER / "cloudnative-pg.json"


def problems(manifest: Manifest) -> list[str]:
    """What is wrong with it, a line each."""
    name = f"{manifest['apiVersion']}/{manifest['kind']}"
    if schema := _custom().get(name):
        found = Draft202012Validator(schema).iter_errors(manifest["spec"])
        return [f"{name}: {e.json_path}: {e.message}" for e in found]
    return [problem for version in VERSIONS for problem in _core_problems(manifest, version)]


def _core_problems(manifest: Manifest, version: str) -> list[str]:
    validator = _core(version, manifest["apiVersion"], manifest["kind"])
    if validator is None:
        return [f"Kubernetes {version} knows no {manifest['apiVersion']}/{manifest['kind']}"]
    errors = validator.iter_errors(manifest)
    return [f"Kubernetes {version}: {e.json_path}: {e.message}" for e in errors]


@cache
def _core(version: str, api_version: str, kind: str) -> Draft202012Validator | None:
    """None: that version has no such kind. The files are named deployment-apps-v1.json, …"""
    group, _, of_group = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.partition(".")[0], of_group)))
    file = _folder(version) / f"{name}.json"
    if not file.is_file():
        return None
    return Draft202012Validator(json.loads(file.read_text()), registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    contents = json.loads((_folder(version) / "_definitions.json").read_text())
    resource = Resource.from_contents(contents, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry()
    complete: Registry[Any] = registry.with_resource("/api/_definitions.json", resource).crawl()
    return complete


def _folder(version: str) -> Traversable:
    schemas = files("kubernetes_validate") / "kubernetes-json-schema"
    return schemas / f"v{version}.0-local-strict"


@cache
def _custom() -> dict[str, Any]:
    """apiVersion/kind → schema of spec."""
    return {**json.loads(DERIVED.read_text()), **json.loads(BY_HAND.read_text())}
