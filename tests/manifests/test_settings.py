"""What the manifests tell the services is what the services read, and enough to start with."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from manifests.rendered import OVERLAYS, SERVICES, Manifests, build, named, of_kind, one, pod_spec

import rollcall_email_notification.settings
import rollcall_gateway.settings
import rollcall_slack_notification.settings
import rollcall_user_management.settings

# What stands for a value that only the cluster knows, where its form matters.
SECRETS = {
    "ROLLCALL_TOKEN_SECRET": "x" * 48,
    "SMTP_URL": "smtp://mail:25",
    "DATABASE_URL": "postgresql://u:p@postgres-rw:5432/rollcall",
}
READ_BY: dict[str, Callable[[Mapping[str, str]], Any]] = {
    "gateway": rollcall_gateway.settings.Settings.from_env,
    "user-management": rollcall_user_management.settings.Settings.from_env,
    "email-notification": rollcall_email_notification.settings.from_env,
    "slack-notification": rollcall_slack_notification.settings.from_env,
}
LIBPQ = {"PGSSLMODE", "PGSSLROOTCERT"}  # Postgres' client library reads these itself


class Asked(dict[str, str]):
    """Remembers which variables were asked for."""

    def __init__(self, variables: Mapping[str, str]):
        super().__init__(variables)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return super().__getitem__(name)


def variables(manifests: Manifests, service: str, files: Path) -> dict[str, str]:
    """The environment of its container, with the files that it names lying in `files`."""
    (container,) = pod_spec(one(manifests, "Deployment", service))["containers"]
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found |= one(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container["env"]:
        found[variable["name"]] = variable.get("value") or SECRETS.get(variable["name"], "given")
    for mount in container["volumeMounts"]:
        for name, value in found.items():
            if value.startswith(mount["mountPath"] + "/"):
                (files / Path(value).name).write_text("a certificate")
                found[name] = str(files / Path(value).name)
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_what_it_is_told_and_misses_nothing(
    service: str, overlay: str, tmp_path: Path
) -> None:
    given = Asked(variables(build(overlay), service, tmp_path))
    settings = READ_BY[service](given)
    assert given.keys() - LIBPQ - given.names == set()
    assert settings.management_host == "0.0.0.0"
    (container,) = pod_spec(one(build(overlay), "Deployment", service))["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["management"] == settings.management_port
    if service == "gateway":
        assert (settings.host, settings.port) == ("0.0.0.0", ports["http"])
    else:
        assert (settings.grpc_host, settings.grpc_port) == ("0.0.0.0", ports["grpc"])


def test_production_speaks_to_kafka_and_postgres_as_somebody_and_under_tls(tmp_path: Path) -> None:
    for service in SERVICES[1:]:
        given = variables(build("production"), service, tmp_path)
        client = READ_BY[service](given).kafka.security.client()
        assert client["security.protocol"] == "SASL_SSL"
        assert client["sasl.mechanism"] == "SCRAM-SHA-512"
        assert given["PGSSLMODE"] == "verify-full"
        (container,) = pod_spec(one(build("production"), "Deployment", service))["containers"]
        user = next(v for v in container["env"] if v["name"] == "KAFKA_SASL_USERNAME")
        assert user["valueFrom"]["fieldRef"]["fieldPath"].endswith("['app.kubernetes.io/name']")
        assert one(build("production"), "KafkaUser", service)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_addresses_name_services(overlay: str, tmp_path: Path) -> None:
    """Those of the manifests, or of what an operator makes of them."""
    manifests = build(overlay)
    made = {f"Service/{m['metadata']['name']}-kafka-bootstrap" for m in of_kind(manifests, "Kafka")}
    made |= {f"Service/{m['metadata']['name']}-rw" for m in of_kind(manifests, "Cluster")}
    there = {named(m) for m in of_kind(manifests, "Service")} | made
    for service in SERVICES:
        given = variables(manifests, service, tmp_path)
        urls = [given.get("DATABASE_URL", ""), given.get("USER_MANAGEMENT_TARGET", "")]
        hosts = re.findall(r"(?:@|dns:///)([\w-]+)", " ".join(urls))
        hosts += re.findall(r"^([\w-]+):", given.get("KAFKA_BOOTSTRAP_SERVERS", ""))
        assert hosts
        assert {f"Service/{host}" for host in hosts} <= there


def test_the_gateway_goes_round_robin_over_the_replicas_themselves() -> None:
    assert one(build("production"), "Service", "user-management")["spec"]["clusterIP"] == "None"
