"""Every secret that is referred to is made: by secrets.sh, or by an operator."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from manifests.rendered import (
    KUBERNETES,
    OVERLAYS,
    Manifest,
    Manifests,
    build,
    of_kind,
    pod_spec,
    walk,
    workloads,
)

SMTP_URL = "smtps://o'neil:x@mail.example.com"
# `get` finds what the test says is there; `create` notes what it is given.
KUBECTL = """#!/usr/bin/env bash
[ "$1 $2" = "--namespace rollcall" ] || exit 3
case $3 in
  get) grep -qx "$5" "$THERE" && echo "secret/$5" ; exit 0 ;;
  create) { cat; echo; echo ---; } >> "$MADE" ;;
esac
"""


def secrets_sh(directory: Path, there: list[str]) -> list[Manifest]:
    """What the script makes."""
    (directory / "kubectl").write_text(KUBECTL)
    (directory / "kubectl").chmod(0o755)
    (directory / "there").write_text("".join(f"{name}\n" for name in there))
    (directory / "made").touch()
    done = subprocess.run(
        [KUBERNETES / "secrets.sh", "rollcall"],
        env=os.environ
        | {"PATH": f"{directory}:{os.environ['PATH']}", "SMTP_URL": SMTP_URL}
        | {"SLACK_BOT_TOKEN": "xoxb-1", "THERE": str(directory / "there")}
        | {"MADE": str(directory / "made")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    made = [m for m in yaml.safe_load_all((directory / "made").read_text()) if m]
    values = [v for secret in made for k, v in secret["stringData"].items() if k != "username"]
    assert not [value for value in values if value in done.stdout + done.stderr]
    return made


def referred(manifests: Manifests) -> Iterator[tuple[str, str]]:
    """(secret, key) wherever a container, a volume, KEDA or CloudNativePG names one."""
    for manifest in manifests:
        for path, value in walk(manifest):
            last = path.rpartition(".")[2]
            if last == "secretKeyRef":
                yield value["name"], value["key"]
            elif last == "passwordSecret":
                yield from ((value["name"], key) for key in ("username", "password"))
            elif last == "secretTargetRef":
                yield from ((ref["name"], ref["key"]) for ref in value)
    for workload in workloads(manifests):
        for volume in pod_spec(workload).get("volumes", ()):
            if secret := volume.get("secret"):
                yield from ((secret["secretName"], item["key"]) for item in secret["items"])


def by_operators(manifests: Manifests) -> set[tuple[str, str]]:
    names: dict[str, list[str]] = {
        kind: [m["metadata"]["name"] for m in of_kind(manifests, kind)]
        for kind in ("Kafka", "KafkaUser", "Cluster")
    }
    found = {(f"{kafka}-cluster-ca-cert", "ca.crt") for kafka in names["Kafka"]}
    found |= {(user, "password") for user in names["KafkaUser"]}
    return found | {(f"{cluster}-ca", "ca.crt") for cluster in names["Cluster"]}


def data(secrets: list[Manifest]) -> dict[str, dict[str, Any]]:
    return {secret["metadata"]["name"]: secret["stringData"] for secret in secrets}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_secret_is_made(overlay: str, tmp_path: Path) -> None:
    made = data(secrets_sh(tmp_path, []))
    there = {(name, key) for name, values in made.items() for key in values}
    wanted = set(referred(build(overlay)))
    assert wanted - there - by_operators(build(overlay)) == set()
    assert len(wanted) > 5


def test_what_is_there_stays(tmp_path: Path) -> None:
    made = data(secrets_sh(tmp_path, ["token-secret", "postgres-user-management"]))
    assert made.keys() == {
        *("postgres-email-notification", "postgres-slack-notification", "postgres-superuser"),
        *("smtp", "slack"),
    }


def test_the_values_fit(tmp_path: Path) -> None:
    secrets = secrets_sh(tmp_path, [])
    made = data(secrets)
    assert made["smtp"] == {"url": SMTP_URL}
    assert len(made["token-secret"]["secret"]) >= 32
    roles = {"user_management", "email_notification", "slack_notification"}
    for role in roles:
        values = made[f"postgres-{role.replace('_', '-')}"]
        url = urlsplit(values["uri"])
        assert (url.username, url.password) == (role, values["password"])
        assert values["username"] == role
    (cluster,) = of_kind(build("production"), "Cluster")
    assert {role["name"] for role in cluster["spec"]["managed"]["roles"]} == roles
    passwords = [values["password"] for values in made.values() if "password" in values]
    assert len({*passwords}) == len(passwords) == 4
    types = {s["metadata"]["name"]: s["type"] for s in secrets}
    assert types["postgres-user-management"] == "kubernetes.io/basic-auth"
