"""docker-compose.yml as Compose would take it, read without Compose."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from manifests.rendered import ROOT

DOCKER = ROOT / "deploy" / "docker"
FILES: dict[str, tuple[Path, ...]] = {
    "plain": (ROOT / "docker-compose.yml",),
    "secure": (ROOT / "docker-compose.yml", DOCKER / "secure.yml"),
}
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::?-(?P<default>[^}]*))?\}")

Service = dict[str, Any]
Project = dict[str, Any]


@cache
def project(variant: str, **variables: str) -> Project:
    """The merged files, with what the environment's `variables` and the defaults make of them."""
    merged: Project = {}
    for file in FILES[variant]:
        text = _VARIABLE.sub(lambda found: _value(found, variables), file.read_text())
        merged = _merged(merged, yaml.safe_load(text))
    return merged


def services(variant: str, **variables: str) -> dict[str, Service]:
    found: dict[str, Service] = project(variant, **variables)["services"]
    return found


def environment(service: Service) -> dict[str, str]:
    return {name: str(value) for name, value in (service.get("environment") or {}).items()}


def mounts(service: Service) -> Iterator[tuple[str, str]]:
    """(source, target): a path of the repository that begins with ./, or a volume's name."""
    for volume in service.get("volumes", ()):
        source, target = volume.split(":")[:2]
        yield source, target


def is_job(service: Service) -> bool:
    """Ends by itself, and is not started again when it did well."""
    return str(service.get("restart", "")).startswith(("no", "on-failure"))


def image(service: Service) -> str:
    return str(service["image"])


def command() -> list[str] | None:
    """Compose 2 or newer, where it is installed."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]):
            argv = [*words, "version", "--short"]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
            if done.returncode == 0 and int(done.stdout.lstrip("v").partition(".")[0]) >= 2:
                return words
    return None


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    return variables.get(found["name"]) or found["default"] or ""


def _merged(below: Any, above: Any) -> Any:
    """As Compose merges files: mappings by key, sequences one after the other."""
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _merged(below.get(key), value) for key, value in above.items()}
    if isinstance(below, list) and isinstance(above, list):
        return below + above
    return above
